from __future__ import annotations

import math

import numpy as np
import pytest
from geometry_msgs.msg import Pose
from hypothesis import given
from hypothesis import strategies as st

from bbia_ros import geometry

ANGLE = st.floats(-3.1, 3.1)
PITCH = st.floats(-1.5, 1.5)


def test_positive_pitch_points_the_nose_down_and_positive_yaw_left() -> None:
    down = geometry.rotation_from_euler(0, 0.3, 0) @ [1, 0, 0]
    assert down[2] < 0
    left = geometry.rotation_from_euler(0, 0, 0.3) @ [1, 0, 0]
    assert left[1] > 0


@given(ANGLE, PITCH, ANGLE)
def test_euler_and_quaternion_round_trips(roll: float, pitch: float, yaw: float) -> None:
    rotation = geometry.rotation_from_euler(roll, pitch, yaw)
    assert np.allclose(geometry.rotation_from_euler(*geometry.euler_from_rotation(rotation)), rotation, atol=1e-9)
    quaternion = geometry.quaternion_from_rotation(rotation)
    assert quaternion[3] >= 0
    assert np.allclose(geometry.rotation_from_quaternion(quaternion), rotation, atol=1e-9)


def test_gimbal_lock_still_gives_the_same_rotation() -> None:
    rotation = geometry.rotation_from_euler(0.4, math.pi / 2, 0.1)
    assert np.allclose(geometry.rotation_from_euler(*geometry.euler_from_rotation(rotation)), rotation, atol=1e-6)


@given(ANGLE, PITCH)
def test_directions_round_trip(azimuth: float, elevation: float) -> None:
    back = geometry.azimuth_elevation(geometry.direction(azimuth, elevation))
    assert back == pytest.approx((azimuth, elevation), abs=1e-9)


def test_pose_message_round_trip_and_inverse() -> None:
    matrix = geometry.pose_matrix(0.1, -0.2, 0.3, 0.1, 0.2, 0.3)
    assert np.allclose(geometry.matrix_from_pose(geometry.fill_pose(Pose(), matrix)), matrix)
    assert np.allclose(geometry.inverse_pose(matrix) @ matrix, np.eye(4))


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 0), (math.nan, 0, 0, 1), (math.inf, 0, 0, 1)])
def test_an_impossible_quaternion_is_refused(quaternion: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="finite and not zero"):
        geometry.rotation_from_quaternion(quaternion)


def test_angle_between_is_exact_when_small() -> None:
    assert geometry.angle_between([1, 0, 0], geometry.direction(1e-7, 0)) == pytest.approx(1e-7, rel=1e-3)
