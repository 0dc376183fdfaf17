"""Following what moves and looking at what stands, with an eye that delivers late."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bbia_ros.driver.reachy_mini import HEAD_TO_CAMERA
from bbia_ros.motion.gaze import PoseHistory, Sighting, aim, gaze_error
from bbia_ros.motion.pose import BODY, NEUTRAL, PITCH, YAW, head_matrix
from bbia_ros.motion.primary import LookAt
from bbia_ros.motion.rehearsal import Stage, on_circle, walk_by
from bbia_ros.motion.tracking import FaceFollower, ObjectFollower, Track, Whereabouts

DEG = math.radians(1.0)


def follow(speed: float, **how: float) -> float:
    """Median gaze error [rad] while a visitor walks from one side to the other."""
    walk = walk_by(speed, **how)  # type: ignore[arg-type]
    return float(np.median(walk.error[walk.moving]))


def test_the_gaze_follows_a_visitor() -> None:
    assert follow(15 * DEG) < 2.0 * DEG
    assert follow(30 * DEG) < 3.0 * DEG


def test_it_follows_with_few_and_late_frames() -> None:
    assert follow(15 * DEG, fps=4.0, delay_s=0.3) < 5.0 * DEG


def test_a_track_looks_ahead_at_the_speed_it_has_seen_but_not_for_ever() -> None:
    track = Track()
    for tick in range(12):
        track.see(0.1 * tick, on_circle(30 * DEG * 0.1 * tick))
    azimuth = [math.atan2(p[1], p[0]) for p in (track.at(1.1 + ahead)[0] for ahead in (0.3, 0.6, 3.0))]
    assert azimuth == pytest.approx([42 * DEG, 51 * DEG, 51 * DEG], abs=1 * DEG)
    assert track.at(4.0)[1] == 0.0, "and it says that it stands then"


def test_what_friction_keeps_behind_is_made_up_for() -> None:
    assert follow(15 * DEG, friction=2.5 * DEG) < 1.5 * DEG
    stage = Stage(friction=2.5 * DEG)
    for _ in range(40):
        stage.composer.see_faces(stage.now, [stage.sighting(on_circle(20 * DEG))])
        stage.run(0.1)
    assert stage.error(on_circle(20 * DEG)) < 0.8 * DEG
    late = stage.sent()[-100:, YAW]
    assert np.ptp(late) < 0.5 * DEG, "the head does not hunt"


def test_the_body_turns_along_when_the_visitor_is_far_out() -> None:
    stage = Stage()
    for _ in range(40):
        stage.composer.see_faces(stage.now, [stage.sighting(on_circle(70 * DEG))])
        stage.run(0.1)
    pose = stage.sent()[-1]
    assert pose[YAW] == pytest.approx(70 * DEG, abs=2 * DEG)
    assert 30 * DEG < pose[BODY] < 60 * DEG
    assert stage.composer.doing.following == "face 1"


def test_a_lost_face_is_waited_for_two_seconds_then_the_head_returns_within_one() -> None:
    stage = Stage()
    for _ in range(20):
        stage.composer.see_faces(stage.now, [stage.sighting(on_circle(20 * DEG))])
        stage.run(0.1)
    stage.run(1.8)
    assert stage.sent()[-1][YAW] == pytest.approx(20 * DEG, abs=1.5 * DEG)
    stage.run(1.3)
    assert abs(stage.sent()[-1][YAW]) < 3 * DEG
    assert stage.composer.doing.following == ""
    stage.run(2.0)
    assert stage.poses[-1] is None


def test_the_nearest_face_wins_but_the_gaze_does_not_hop() -> None:
    history = PoseHistory()
    history.add(0.0, np.eye(4))
    history.add(10.0, np.eye(4))
    follower = FaceFollower(history)
    ahead, left = (1.0, 0.0, 0.0), (0.8, 0.6, 0.0)

    def see(stamp: float, *faces: tuple[int, tuple[float, float, float], float]) -> str:
        follower.see(stamp, [Sighting("face", i, b, d) for i, b, d in faces])
        track = follower.current(stamp)
        return track.name if track else ""

    assert see(1.0, (1, ahead, 1.0), (2, left, 1.2)) == "face 1"
    assert see(1.1, (2, left, 0.9), (1, ahead, 1.0)) == "face 1", "a little nearer is no reason"
    assert see(1.2, (2, left, 0.5), (1, ahead, 1.0)) == "face 2", "clearly nearer is"
    assert see(1.3, (1, ahead, 1.0)) == "face 2", "not seen in one frame"
    assert see(2.2, (1, ahead, 1.0)) == "face 1", "gone for long"
    assert see(5.0) == "", "nobody for long"


def test_the_aim_goes_through_the_camera_not_through_the_head() -> None:
    for point in (on_circle(0.0), on_circle(50 * DEG, 0.5, -0.1), np.array([0.35, -0.1, -0.2])):
        yaw, pitch = aim(point)
        pose = NEUTRAL.copy()
        pose[YAW], pose[PITCH] = yaw, pitch
        assert gaze_error(head_matrix(pose), point) < 0.01 * DEG
    level = np.array([0.8, 0.0, HEAD_TO_CAMERA[2, 3]])
    assert aim(level)[1] == pytest.approx(0.0, abs=1e-9), "a face at the level of the camera needs no pitch"


def test_the_head_pose_of_the_image_counts_not_the_present_one() -> None:
    turned = NEUTRAL.copy()
    turned[YAW] = 30 * DEG
    history = PoseHistory()
    for tick in range(50):
        history.add(tick * 0.02, head_matrix(NEUTRAL if tick < 25 else turned))
    ahead = np.array([0.8, 0.0, 0.0])
    assert history.locate(0.2, ahead) == pytest.approx(ahead)
    then = history.locate(0.9, ahead)
    assert then is not None
    assert math.atan2(then[1], then[0]) == pytest.approx(30 * DEG)
    assert history.locate(5.0, ahead) is None, "no pose is known near that time"
    assert history.locate(-5.0, ahead) is None


def test_the_history_is_bounded_and_survives_a_clock_set_back() -> None:
    history = PoseHistory(depth=10)
    for tick in range(1000):
        history.add(tick * 0.02, np.eye(4))
    assert history.locate(1.0, np.zeros(3)) is None
    history.add(3.0, np.eye(4))
    assert history.locate(3.0, np.zeros(3)) is not None


def test_unusable_faces_are_not_followed() -> None:
    stage = Stage()
    nan = math.nan
    stage.composer.see_faces(
        stage.now, [Sighting("face", 1, (nan, nan, nan), 1.0), Sighting("face", 2, (3.0, 0, 0), 1.0)]
    )
    stage.run(0.5)
    assert stage.composer.doing.following == ""


def test_a_thing_is_looked_at_through_parallax_and_unknown_distance() -> None:
    stage = Stage()
    apple = np.array([0.33, 0.12, -0.19])
    follower = ObjectFollower("apple", stage.composer.history)
    ends: list[str] = []

    def see() -> None:
        duck = stage.sighting(np.array([0.4, -0.2, -0.19]), "duck", 7, distance=False)
        follower.see(stage.now, [duck, stage.sighting(apple, "apple", 4, distance=False)])

    see()
    stage.composer.queue.offer(LookAt(follower, 0.0, 2.0), ends.append)
    while not ends and stage.now < 1010.0:
        see()
        stage.run(0.1)
    assert ends == [""]
    assert stage.error(apple) < 1.0 * DEG


def test_a_thing_that_vanishes_ends_the_look_with_a_sentence() -> None:
    stage = Stage()
    follower = ObjectFollower("apple", stage.composer.history)
    follower.see(stage.now, [stage.sighting(np.array([0.33, 0.12, -0.19]), "apple")])
    ends: list[str] = []
    stage.composer.queue.offer(LookAt(follower, 0.0, 30.0), ends.append)
    stage.run(4.0)
    assert ends == ["apple is out of sight"]


def test_of_two_alike_the_one_first_looked_at_stays() -> None:
    stage = Stage()
    follower = ObjectFollower("apple", stage.composer.history)
    left, right = np.array([0.4, 0.2, -0.15]), np.array([0.4, -0.2, -0.15])
    follower.see(stage.now, [stage.sighting(left, "apple")])
    for _ in range(5):
        stage.run(0.1)
        follower.see(stage.now, [stage.sighting(right, "apple"), stage.sighting(left, "apple")])
    assert follower.track.at(stage.now)[0] == pytest.approx(left, abs=0.01)


def test_a_jump_restarts_the_track_without_inventing_a_speed() -> None:
    track = Track()
    for tick in range(10):
        track.see(0.1 * tick, on_circle(0.0))
    track.see(1.0, on_circle(60 * DEG))
    point, speed, _ = track.at(1.3)
    assert math.atan2(point[1], point[0]) == pytest.approx(60 * DEG, abs=0.01)
    assert speed == 0.0


def test_where_things_were_is_remembered_for_a_while_and_not_without_bound() -> None:
    stage = Stage()
    places = Whereabouts(stage.composer.history)
    apple = np.array([0.4, 0.2, -0.15])
    places.see(stage.now, [stage.sighting(apple, "apple")])
    assert places.last("apple", stage.now - 10.0) == pytest.approx(apple, abs=1e-6)
    assert places.last("apple", stage.now + 1.0) is None
    assert places.last("duck", 0.0) is None
    places.see(stage.now, [stage.sighting(apple, f"thing {i}") for i in range(500)])
    assert places.last("apple", 0.0) is None, "the oldest went"
    assert places.last("thing 499", 0.0) is not None
