"""Rotations, poses and directions. The one place that converts between them.

Conventions: right-handed frames, metres, radians, x forward, y left, z up (REP-103). Quaternions are [x, y, z, w].
Euler angles are fixed-axis xyz: R = Rz(yaw) @ Ry(pitch) @ Rx(roll), so positive pitch points the nose down.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]


def rotation_from_euler(roll: float, pitch: float, yaw: float) -> Matrix:
    """Rotation matrix 3x3 from fixed-axis xyz angles [rad]."""
    cr, sr, cp, sp, cy, sy = (f(a) for a in (roll, pitch, yaw) for f in (math.cos, math.sin))
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def euler_from_rotation(rotation: ArrayLike) -> tuple[float, float, float]:
    """(roll, pitch, yaw) [rad] of a rotation matrix 3x3 (or the upper left of a 4x4); pitch in [-pi/2, pi/2]."""
    r = np.asarray(rotation, dtype=np.float64)
    pitch = math.asin(max(-1.0, min(1.0, -r[2, 0])))
    if abs(r[2, 0]) < 1.0 - 1e-9:
        return math.atan2(r[2, 1], r[2, 2]), pitch, math.atan2(r[1, 0], r[0, 0])
    return 0.0, pitch, math.atan2(-r[0, 1], r[1, 1])  # gimbal lock: only roll - yaw is defined, take roll as 0


def pose_matrix(
    x: float = 0.0, y: float = 0.0, z: float = 0.0, roll: float = 0.0, pitch: float = 0.0, yaw: float = 0.0
) -> Matrix:
    """Pose 4x4 from a position [m] and fixed-axis xyz angles [rad]."""
    pose = np.eye(4)
    pose[:3, :3] = rotation_from_euler(roll, pitch, yaw)
    pose[:3, 3] = (x, y, z)
    return pose


def inverse_pose(pose: ArrayLike) -> Matrix:
    """Inverse of a rigid 4x4."""
    p = np.asarray(pose, dtype=np.float64)
    inverse = np.eye(4)
    inverse[:3, :3] = p[:3, :3].T
    inverse[:3, 3] = -p[:3, :3].T @ p[:3, 3]
    return inverse


def rotation_from_quaternion(quaternion: ArrayLike) -> Matrix:
    """Rotation matrix 3x3 of a quaternion [x, y, z, w] of any length but zero.

    Raises:
        ValueError: the quaternion is zero or not finite.
    """
    q = np.asarray(quaternion, dtype=np.float64)
    norm = float(np.linalg.norm(q))
    if not math.isfinite(norm) or norm < 1e-9:
        raise ValueError(f"a quaternion must be finite and not zero, got {q.tolist()}")
    x, y, z, w = q / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_from_rotation(rotation: ArrayLike) -> Matrix:
    """Quaternion [x, y, z, w], w >= 0, of a rotation matrix 3x3 (or the upper left of a 4x4); Shepperd's method."""
    r = np.asarray(rotation, dtype=np.float64)[:3, :3]
    squares = np.array([1 + r[0, 0] - r[1, 1] - r[2, 2], 1 - r[0, 0] + r[1, 1] - r[2, 2],
                        1 - r[0, 0] - r[1, 1] + r[2, 2], 1 + r[0, 0] + r[1, 1] + r[2, 2]])  # fmt: skip
    largest = int(np.argmax(squares))
    if largest == 3:
        q = np.array([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], squares[3]])
    elif largest == 0:
        q = np.array([squares[0], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0], r[2, 1] - r[1, 2]])
    elif largest == 1:
        q = np.array([r[0, 1] + r[1, 0], squares[1], r[1, 2] + r[2, 1], r[0, 2] - r[2, 0]])
    else:
        q = np.array([r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], squares[2], r[1, 0] - r[0, 1]])
    unit: Matrix = q / np.linalg.norm(q)
    return unit if unit[3] >= 0 else -unit


def direction(azimuth: float, elevation: float) -> Matrix:
    """Unit vector of an azimuth (0 forward, positive left) and an elevation (positive up) [rad]."""
    ce = math.cos(elevation)
    return np.array([ce * math.cos(azimuth), ce * math.sin(azimuth), math.sin(elevation)])


def azimuth_elevation(vector: ArrayLike) -> tuple[float, float]:
    """(azimuth, elevation) [rad] of a vector that is not zero; inverse of `direction`."""
    x, y, z = (float(v) for v in np.asarray(vector, dtype=np.float64))
    return math.atan2(y, x), math.atan2(z, math.hypot(x, y))


def angle_between(a: ArrayLike, b: ArrayLike) -> float:
    """Angle between two vectors [rad], exact for small angles too."""
    u, v = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return math.atan2(float(np.linalg.norm(np.cross(u, v))), float(u @ v))


def matrix_from_pose(pose: Any) -> Matrix:
    """4x4 of a geometry_msgs/Pose.

    Raises:
        ValueError: a value is not finite or the quaternion is zero.
    """
    p, q = pose.position, pose.orientation
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_from_quaternion((q.x, q.y, q.z, q.w))
    matrix[:3, 3] = (p.x, p.y, p.z)
    if not np.isfinite(matrix).all():
        raise ValueError(f"a position must be finite, got ({p.x}, {p.y}, {p.z})")
    return matrix


def fill_pose(pose: Any, matrix: ArrayLike) -> Any:
    """Writes a 4x4 into a geometry_msgs/Pose and returns it."""
    m = np.asarray(matrix, dtype=np.float64)
    pose.position.x, pose.position.y, pose.position.z = (float(v) for v in m[:3, 3])
    q = quaternion_from_rotation(m)
    pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w = (float(v) for v in q)
    return pose
