"""What the robot does with its body, on a simulated clock."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bbia_ros.motion.expression import EXPRESSIONS
from bbia_ros.motion.limiter import ACCELERATION, SPEED
from bbia_ros.motion.pose import BODY, LEFT, NEUTRAL, PITCH, RIGHT, ROLL, SLEEP, YAW, X, Z
from bbia_ros.motion.primary import Goto, PlayMove
from bbia_ros.motion.rehearsal import TICK, Stage
from bbia_ros.motion.repertoire import MOVES

DEG = math.radians(1.0)


def relative_to_body(poses: np.ndarray) -> np.ndarray:
    poses = poses.copy()
    poses[:, YAW] -= poses[:, BODY]
    return poses


def test_at_rest_nothing_is_sent() -> None:
    stage = Stage()
    stage.run(1.0)
    assert stage.poses[-50:] == [None] * 50
    assert stage.composer.doing.state == "rest"


def test_it_wakes_up_slowly_from_the_sleep_pose() -> None:
    stage = Stage(SLEEP)
    stage.run(4.0)
    sent = stage.sent()
    assert sent[0] == pytest.approx(SLEEP, abs=0.02)
    assert sent[-1] == pytest.approx(NEUTRAL, abs=1e-3)
    speed = np.abs(np.diff(sent[:190], axis=0)).max(axis=0) / TICK
    assert speed[PITCH] < 0.6
    assert speed[Z] < 0.06


def test_asleep_it_lies_down_and_stays_quiet() -> None:
    stage = Stage(posture="asleep", breathing=True, glances=True)
    stage.run(4.0)
    assert stage.sent()[-1] == pytest.approx(SLEEP, abs=1e-3)
    assert stage.poses[-1] is None
    stage.composer.set_posture("awake")
    stage.run(4.0)
    assert stage.poses[-1] is not None


@pytest.mark.parametrize("name", sorted(MOVES))
def test_every_move_ends_where_it_should_within_the_rates(name: str) -> None:
    stage = Stage()
    ends: list[str] = []
    stage.composer.queue.offer(PlayMove(name, MOVES[name]), ends.append)
    stage.run(MOVES[name].duration_s + 0.5)
    assert ends == [""]
    sent = relative_to_body(stage.sent())
    assert np.ptp(sent, axis=0).max() > 0.1, "it does not move"
    velocity = np.diff(sent, axis=0) / TICK
    assert (np.abs(velocity) <= SPEED + 1e-9).all()
    assert (np.abs(np.diff(velocity, axis=0)) <= ACCELERATION * TICK + 1e-9).all()
    assert stage.composer.limiter.limited == 0
    if name != "goto_sleep":
        stage.run(3.0)
        assert stage.sent()[-1] == pytest.approx(NEUTRAL, abs=1e-3)


def test_moves_are_all_different() -> None:
    tracks = {
        name: np.array([move.offset(t, 1, 1.0) for t in np.arange(0.3, 1.3, 0.1)]) for name, move in MOVES.items()
    }
    names = sorted(tracks)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            assert np.abs(tracks[a] - tracks[b]).max() > 0.02 or {a, b} <= {"wake_up", "goto_sleep"}, f"{a} is {b}"


def test_a_move_is_played_where_the_body_faces() -> None:
    stage = Stage()
    turned = NEUTRAL.copy()
    turned[BODY] = turned[YAW] = 1.0
    stage.composer.queue.offer(Goto(turned, 1.5))
    stage.composer.queue.offer(PlayMove("nod", MOVES["nod"]))
    stage.run(2.5)
    assert stage.composer.doing.move == "nod"
    assert stage.sent()[-1][BODY] == pytest.approx(1.0, abs=1e-3)


def test_stop_ends_all_moves_and_returns_to_neutral() -> None:
    stage = Stage()
    ends: list[str] = []
    for _ in range(3):
        stage.composer.queue.offer(PlayMove("headbanger_combo", MOVES["headbanger_combo"]), ends.append)
    stage.run(1.0)
    stage.composer.stop()
    stage.run(3.5)
    assert ends == ["motion/stop was called"] * 3
    assert stage.sent()[-1] == pytest.approx(NEUTRAL, abs=1e-3)
    assert stage.composer.doing.state == "rest"


def test_idle_it_breathes_and_after_half_a_minute_alone_it_rests() -> None:
    stage = Stage(breathing=True)
    stage.run(29.0)
    sent = stage.sent()
    assert np.abs(sent[:, Z]).max() == pytest.approx(0.005, abs=0.0005)
    assert np.abs(sent[:, RIGHT] - NEUTRAL[RIGHT]).max() == pytest.approx(15 * DEG, abs=1 * DEG)
    assert stage.composer.doing.state == "idle"
    stage.run(5.0)
    assert stage.poses[-1] is None


def test_breathing_waits_until_nothing_else_plays() -> None:
    stage = Stage(breathing=True)
    stage.composer.queue.offer(Goto(NEUTRAL, 3.0))
    stage.run(3.0)
    assert np.abs(stage.sent()[:, Z]).max() < 1e-6


def test_listening_holds_the_antennas_still_while_somebody_tells_that_it_lasts() -> None:
    stage = Stage(breathing=True)
    stage.run(3.0)
    for _ in range(2):
        stage.composer.hear_speech(user=True, robot=False)
        stage.run(0.5)
    before = stage.sent()[-1]
    stage.run(0.5)
    assert stage.sent()[-1][[RIGHT, LEFT]] == pytest.approx(before[[RIGHT, LEFT]], abs=0.5 * DEG)
    assert stage.sent()[-1][Z] != pytest.approx(before[Z], abs=1e-5), "breathing goes on"
    stage.run(3.0)
    assert np.ptp(stage.sent()[-100:, RIGHT]) > 10 * DEG, "the one who told is gone"


def test_a_feeling_that_is_known_before_the_start_is_shown() -> None:
    stage = Stage()
    stage.composer.feel("proud", 1.0)
    stage.composer.start(stage.now, NEUTRAL, "awake")
    stage.run(2.0)
    assert stage.sent()[-1][PITCH] < -15 * DEG


def test_glances_are_calm_and_end_alone() -> None:
    stage = Stage(glances=True)
    stage.run(28.0)
    sent = stage.sent()
    assert 5 * DEG < np.abs(sent[:, YAW]).max() < 30 * DEG
    assert np.abs(np.diff(sent[:, YAW])).max() / TICK < 60 * DEG
    stage.run(6.0)
    assert stage.poses[-1] is None


def test_speech_wobbles_the_head_with_loudness_and_stops_with_it() -> None:
    def loudest(level: float) -> float:
        stage = Stage()
        for _ in range(60):
            stage.composer.hear_loudspeaker(level)
            stage.run(0.05)
        spread = float(np.ptp(stage.sent()[:, PITCH])) if len(stage.sent()) else 0.0
        stage.run(1.5)
        assert stage.poses[-1] is None, "stale levels end it"
        return spread

    assert loudest(-math.inf) == 0.0
    assert loudest(-50.0) == 0.0
    assert 0.5 * DEG < loudest(-30.0) < loudest(-15.0) < 10 * DEG


def posture_of(label: str) -> np.ndarray:
    stage = Stage()
    stage.composer.feel(label, 1.0)
    stage.run(5.0)
    flutter = stage.sent()[-200:] if len(stage.sent()) else np.array([NEUTRAL])
    return flutter.mean(axis=0) - NEUTRAL


LABELS = [label for label in EXPRESSIONS if label != "neutral"]


@pytest.mark.parametrize("label", ["happy", "excited", "proud", "surprised"])
def test_bright_feelings_lift_the_nose_and_the_antennas(label: str) -> None:
    offset = posture_of(label)
    assert offset[PITCH] < -5 * DEG, "negative pitch is nose up"
    assert offset[RIGHT] > 3 * DEG
    assert offset[LEFT] < -3 * DEG


@pytest.mark.parametrize("label", ["sad", "fearful"])
def test_dark_feelings_lower_the_nose_and_let_the_antennas_droop(label: str) -> None:
    offset = posture_of(label)
    assert offset[PITCH] > 5 * DEG
    assert offset[RIGHT] < -60 * DEG
    assert offset[LEFT] > 60 * DEG
    assert offset[Z] < -0.01


def test_every_feeling_has_its_own_posture() -> None:
    offsets = {label: posture_of(label) for label in LABELS}
    scale = np.array([0.004] * 3 + [4 * DEG] * 4 + [12 * DEG] * 2)
    for i, a in enumerate(LABELS):
        for b in LABELS[i + 1 :]:
            assert np.abs((offsets[a] - offsets[b]) / scale).max() > 1.0, f"{a} looks like {b}"


def test_an_unknown_feeling_is_refused_and_the_old_one_stays() -> None:
    stage = Stage()
    stage.composer.feel("happy", 0.8)
    for label, intensity in (("bored", 1.0), ("sad", math.nan)):
        with pytest.raises(ValueError, match=label):
            stage.composer.feel(label, intensity)
    stage.run(1.0)
    assert stage.composer.doing.posture == "happy"


def test_a_feeling_does_not_disturb_a_move_and_comes_back_after_it() -> None:
    stage = Stage()
    stage.composer.feel("sad", 1.0)
    stage.run(2.0)
    stage.composer.queue.offer(Goto(NEUTRAL, 2.0, hold_s=0.5))
    stage.run(2.4)
    assert stage.sent()[-1] == pytest.approx(NEUTRAL, abs=2e-3)
    stage.run(2.5)
    assert stage.sent()[-1][PITCH] > 15 * DEG


Change = Callable[[Stage], object]
CHANGES: list[Change] = [
    lambda stage: stage.composer.queue.offer(PlayMove("groovy_sway_and_roll", MOVES["groovy_sway_and_roll"])),
    lambda stage: stage.composer.queue.offer(PlayMove("shake", MOVES["shake"], 1.5, 2)),
    lambda stage: stage.composer.queue.offer(Goto(NEUTRAL + 0.2 * np.eye(9)[YAW] - 0.01 * np.eye(9)[X], 0.7)),
    lambda stage: stage.composer.stop(),
    lambda stage: stage.composer.feel("sad", 1.0),
    lambda stage: stage.composer.feel("excited", 1.0),
    lambda stage: stage.composer.set_posture("asleep"),
    lambda stage: stage.composer.set_posture("awake"),
    lambda stage: stage.composer.hear_speech(user=True, robot=False),
    lambda stage: stage.composer.hear_speech(user=False, robot=True),
    lambda stage: stage.composer.hear_loudspeaker(-12.0),
    lambda stage: stage.composer.see_faces(stage.now, [stage.sighting(np.array([0.5, 0.5, 0.1]))]),
]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(CHANGES), st.floats(0.02, 1.5)), min_size=1, max_size=8))
def test_whatever_changes_position_and_velocity_do_not_jump(
    script: list[tuple[Change, float]],
) -> None:
    stage = Stage(breathing=True, glances=True)
    for change, seconds in script:
        change(stage)
        stage.run(seconds)
    sent = relative_to_body(np.array([NEUTRAL, *(pose for pose in stage.poses if pose is not None)]))
    velocity = np.diff(sent, axis=0) / TICK
    assert (np.abs(velocity) <= SPEED * 1.001).all()
    assert (np.abs(np.diff(velocity, axis=0)) <= ACCELERATION * TICK * 1.001 + 1e-6).all()
    # Beyond the limiter's bounds, which hold for anything: the blend itself asks for no more than they allow.
    assert stage.composer.limiter.held == 0


def test_roll_of_confused_and_curious_go_opposite_ways() -> None:
    assert posture_of("confused")[ROLL] * posture_of("curious")[ROLL] < 0


def test_a_body_that_does_not_follow_is_left_alone_and_resumed_from_where_it_is() -> None:
    stage = Stage()
    ends: list[str] = []
    stage.stuck = True
    for _ in range(2):
        stage.composer.queue.offer(PlayMove("bow", MOVES["bow"], 1.0, 3), ends.append)
    stage.run(3.0)
    assert stage.composer.doing.state == "stopped"
    assert [("does not follow" in end) for end in ends] == [True, True]
    stuck = [pose for pose in stage.poses[-100:] if pose is not None]
    assert 1 <= len(stuck) <= 15, "only a probe now and then"
    assert np.abs(np.array(stuck) - NEUTRAL)[:, :7].max() < 5 * DEG
    stage.stuck = False
    stage.run(4.0)
    assert stage.composer.doing.state == "rest"
    assert stage.sent()[-1] == pytest.approx(NEUTRAL, abs=1e-3)


def test_a_slow_but_obedient_body_is_not_mistaken_for_a_held_one() -> None:
    stage = Stage(lag_s=0.3)
    stage.composer.queue.offer(PlayMove("headbanger_combo", MOVES["headbanger_combo"]))
    stage.run(4.0)
    assert stage.composer.doing.state == "moving"
