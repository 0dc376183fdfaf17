"""Messages to plain values and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bbia_ros.driver.kinematics import Kinematics
from bbia_ros.driver.reachy_mini import ANTENNA_NAMES, JOINT_NAMES
from bbia_ros.geometry import fill_pose, matrix_from_pose
from bbia_ros.motion.gaze import CLOSEST, Point, Sighting
from bbia_ros.motion.pose import BODY, LEFT, RIGHT, Pose, from_matrix, head_matrix

FRAME = "head_neutral"
LONGEST_S = 120.0
"""No single movement may ask for more time than this."""


class Refused(ValueError):
    """A request that cannot be carried out, in one sentence."""


def seconds(stamp: Any) -> float:
    """A builtin_interfaces/Time in seconds."""
    return float(stamp.sec) + 1e-9 * float(stamp.nanosec)


def faces_of(message: Any) -> list[Sighting]:
    """The faces of a FaceArray, nearest first."""
    return [_sighting("face", face) for face in message.faces]


def objects_of(message: Any) -> list[Sighting]:
    """The things of a DetectionArray; names in lower case."""
    return [_sighting(detection.label.lower(), detection) for detection in message.detections]


def _sighting(name: str, seen: Any) -> Sighting:
    bearing = (seen.bearing.x, seen.bearing.y, seen.bearing.z)
    return Sighting(name, int(seen.track_id), bearing, float(seen.distance), float(seen.score))


def measured_pose(head: Any, joints: dict[str, float]) -> Pose:
    """The body's pose from head_pose and joint_states.

    Args:
        head: geometry_msgs/Pose in `head_neutral`.
        joints: angle by joint name [rad].

    Raises:
        ValueError: a value is not finite or a joint is missing.
    """
    missing = [name for name in (JOINT_NAMES[0], *ANTENNA_NAMES) if name not in joints]
    if missing:
        raise ValueError(f"joint_states lacks {', '.join(missing)}")
    antennas = joints[ANTENNA_NAMES[0]], joints[ANTENNA_NAMES[1]]
    return from_matrix(matrix_from_pose(head), joints[JOINT_NAMES[0]], antennas)


def goal_pose(target: Any, kinematics: Kinematics) -> tuple[Pose, bool]:
    """The pose of a RobotTarget that the robot can reach, and whether it had to be changed for that.

    Raises:
        Refused: a value is not finite.
    """
    right, left = (float(angle) for angle in target.antennas)
    try:
        if not all(map(math.isfinite, (target.body_yaw, right, left))):
            raise ValueError(f"body yaw and antennas must be finite, got {target.body_yaw}, {right}, {left}")
        asked = from_matrix(matrix_from_pose(target.head), float(target.body_yaw), (right, left))
        head, body_yaw = kinematics.project(head_matrix(asked), float(target.body_yaw))
    except ValueError as error:
        raise Refused(f"the target is no pose: {error}") from error
    pose = from_matrix(head, body_yaw, (_wrapped(right), _wrapped(left)))
    return pose, bool(np.abs(pose - asked).max() > 1e-6)


def goal_point(stamped: Any) -> Point:
    """The point of a PointStamped in `head_neutral`.

    Raises:
        Refused: another frame, a value that is not finite, or a point inside the head.
    """
    if stamped.header.frame_id not in ("", FRAME):
        raise Refused(f"the point must be given in the frame {FRAME}, not in {stamped.header.frame_id!r}")
    point = np.array([stamped.point.x, stamped.point.y, stamped.point.z])
    if not np.isfinite(point).all():
        raise Refused(f"the point must be finite, got {point.tolist()}")
    if float(np.linalg.norm(point)) < CLOSEST:
        raise Refused(
            f"the point {point.tolist()} is inside the head; nearer than {CLOSEST} m nothing can be looked at"
        )
    return point


def duration(name: str, value: float, shortest: float = 0.0) -> float:
    """A duration of a goal [s].

    Raises:
        Refused: it is out of range or no number.
    """
    if not shortest <= value <= LONGEST_S:
        raise Refused(f"{name} must be {shortest:g} to {LONGEST_S:g} s, got {value}")
    return float(value)


def fill_target(message: Any, pose: Pose, stamp: Any) -> Any:
    """Writes a pose into a RobotTarget and returns it."""
    message.header.stamp = stamp
    message.header.frame_id = FRAME
    fill_pose(message.head, head_matrix(pose))
    message.body_yaw = float(pose[BODY])
    message.antennas = (float(pose[RIGHT]), float(pose[LEFT]))
    return message


def _wrapped(angle: float) -> float:
    return min(math.pi, max(-math.pi, angle))
