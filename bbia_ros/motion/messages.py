"""Messages to plain values and back."""

from __future__ import annotations

from typing import Any

from bbia_ros.driver.reachy_mini import ANTENNA_NAMES, JOINT_NAMES
from bbia_ros.geometry import fill_pose, matrix_from_pose
from bbia_ros.motion.gaze import Sighting
from bbia_ros.motion.pose import BODY, LEFT, RIGHT, Pose, from_matrix, head_matrix

FRAME = "head_neutral"


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


def fill_target(message: Any, pose: Pose, stamp: Any) -> Any:
    """Writes a pose into a RobotTarget and returns it."""
    message.header.stamp = stamp
    message.header.frame_id = FRAME
    fill_pose(message.head, head_matrix(pose))
    message.body_yaw = float(pose[BODY])
    message.antennas = (float(pose[RIGHT]), float(pose[LEFT]))
    return message
