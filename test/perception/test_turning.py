"""The head's turn between two images tells how pixels move."""

import math

import numpy as np
import pytest

from bbia_ros.geometry import pose_matrix, quaternion_from_rotation
from bbia_ros.perception.bearing import Intrinsics, bearing
from bbia_ros.perception.turning import HISTORY, HeadHistory, turn_warp

EYE = Intrinsics(143.0, 143.0, 160.0, 120.0, 320, 240)


def quaternion(yaw_deg, pitch_deg=0.0):
    return quaternion_from_rotation(pose_matrix(pitch=math.radians(pitch_deg), yaw=math.radians(yaw_deg)))


def test_a_turn_to_the_left_moves_things_to_the_right():
    history = HeadHistory()
    history.add(0.0, quaternion(0.0))
    history.add(0.05, quaternion(10.0))
    warp = turn_warp(EYE, history.at(0.0), history.at(0.05))
    assert warp(160.0, 120.0) == pytest.approx((160.0 + 143.0 * math.tan(math.radians(10.0)), 120.0))


def test_a_warped_pixel_is_the_same_direction_in_the_room():
    before, now = (pose_matrix(pitch=p, yaw=y)[:3, :3] for p, y in ((0.1, -0.2), (-0.15, 0.25)))
    history = HeadHistory()
    history.add(0.0, quaternion_from_rotation(before))
    history.add(0.05, quaternion_from_rotation(now))
    u, v = turn_warp(EYE, history.at(0.0), history.at(0.05))(100.0, 150.0)
    assert now @ bearing(EYE, u, v) == pytest.approx(before @ bearing(EYE, 100.0, 150.0))


def test_between_two_poses_the_orientation_is_interpolated():
    history = HeadHistory()
    history.add(0.0, quaternion(0.0))
    history.add(0.02, -quaternion(4.0))  # the same rotation, the other sign
    forward = history.at(0.01) @ np.array([0.0, 0.0, 1.0])
    assert math.degrees(math.atan2(forward[1], forward[0])) == pytest.approx(2.0, abs=0.01)


def test_without_a_pose_near_the_image_nothing_is_said():
    history = HeadHistory()
    assert history.at(0.0) is None
    history.add(1.0, quaternion(0.0))
    assert history.at(1.5) is None
    assert history.at(0.5) is None
    assert turn_warp(EYE, history.at(1.5), history.at(1.0)) is None


def test_a_broken_pose_is_ignored_and_time_may_start_again():
    history = HeadHistory()
    history.add(10.0, quaternion(0.0))
    history.add(10.02, [0.0, 0.0, 0.0, 0.0])
    history.add(10.04, [math.nan, 0.0, 0.0, 1.0])
    assert np.isfinite(history.at(10.05)).all()
    history.add(1.0, quaternion(5.0))
    assert history.at(10.0) is None
    assert history.at(1.0) is not None


def test_the_history_is_bounded():
    history = HeadHistory()
    for index in range(HISTORY * 3):
        history.add(index * 0.02, quaternion(0.0))
    assert history.at(0.0) is None
