"""A whole-body pose as nine numbers, the currency of this folder.

Order and units: head position x, y, z [m] and fixed-axis xyz angles roll, pitch, yaw [rad] in `head_neutral` (positive
pitch is nose down, yaw counts from the base), body yaw [rad], right and left antenna [rad].
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bbia_ros.driver import reachy_mini as robot
from bbia_ros.geometry import euler_from_rotation, pose_matrix

Pose = NDArray[np.float64]

X, Y, Z, ROLL, PITCH, YAW, BODY, RIGHT, LEFT = range(9)
SIZE: Final = 9


def from_matrix(head: ArrayLike, body_yaw: float, antennas: tuple[float, float]) -> Pose:
    """Pose of a head 4x4, a body yaw and the antennas [right, left]; the yaw is taken within half a turn of the body.

    Args:
        head: 4x4 of `head` in `head_neutral`.
        body_yaw: [rad].
        antennas: right, left [rad].

    Raises:
        ValueError: a value is not finite.
    """
    matrix = np.asarray(head, dtype=np.float64)
    roll, pitch, yaw = euler_from_rotation(matrix)
    yaw = body_yaw + float(np.remainder(yaw - body_yaw + np.pi, 2 * np.pi) - np.pi)
    pose = np.array([*matrix[:3, 3], roll, pitch, yaw, body_yaw, *antennas])
    if not np.isfinite(pose).all():
        raise ValueError(f"a pose must be finite, got {pose.tolist()}")
    return pose


def head_matrix(pose: ArrayLike) -> NDArray[np.float64]:
    """Head 4x4 in `head_neutral` of a pose."""
    x, y, z, roll, pitch, yaw = (float(v) for v in np.asarray(pose)[:6])
    return pose_matrix(x, y, z, roll, pitch, yaw)


def constant(
    head: ArrayLike = robot.NEUTRAL_HEAD, antennas: tuple[float, float] = robot.NEUTRAL_ANTENNAS, body_yaw: float = 0.0
) -> Pose:
    """A pose that nobody can write to."""
    pose = from_matrix(head, body_yaw, antennas)
    pose.setflags(write=False)
    return pose


NEUTRAL: Final = constant()
SLEEP: Final = constant(robot.SLEEP_HEAD, robot.SLEEP_ANTENNAS)
ZERO: Final = np.zeros(SIZE)
ZERO.setflags(write=False)
