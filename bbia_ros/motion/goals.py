"""Goals of the actions to items of the queue; what cannot be carried out is refused in one sentence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bbia_ros.driver.kinematics import Kinematics
from bbia_ros.geometry import matrix_from_pose
from bbia_ros.motion.gaze import CLOSEST, Point
from bbia_ros.motion.messages import FRAME
from bbia_ros.motion.pose import Pose, from_matrix, head_matrix
from bbia_ros.motion.primary import Goto, PlayMove
from bbia_ros.motion.repertoire import find
from bbia_ros.motion.trajectory import interpolation

LONGEST_S = 120.0
"""No single movement may ask for more time than this."""


class Refused(ValueError):
    """A request that cannot be carried out, in one sentence."""


def move(request: Any) -> PlayMove:
    """The item of a PlayMove goal.

    Raises:
        Refused: an unknown move, or amplitude or repeats out of range.
    """
    try:
        found = find(request.name)
    except ValueError as error:
        raise Refused(str(error)) from error
    if request.name == "goto_sleep":
        raise Refused("goto_sleep is played by setting motion's parameter posture to asleep")
    amplitude = float(request.amplitude) or 1.0
    if not 0.1 <= amplitude <= 1.5:
        raise Refused(f"the amplitude must be 0.1 to 1.5, got {amplitude:g}")
    if request.repeats > 100:
        raise Refused(f"a move can be repeated 100 times, not {request.repeats} times")
    return PlayMove(request.name, found, amplitude, max(1, request.repeats))


def goto(request: Any, kinematics: Kinematics, hold_s: float) -> tuple[Goto, bool]:
    """The item of a Goto goal, and whether its pose had to be changed to be reachable.

    Raises:
        Refused: a value is not finite or out of range, or an unknown interpolation.
    """
    target, changed = pose(request.target, kinematics)
    time_s = duration("duration_s", request.duration_s, 0.05)
    try:
        return Goto(target, time_s, interpolation(request.interpolation), hold_s), changed
    except ValueError as error:
        raise Refused(str(error)) from error


def pose(target: Any, kinematics: Kinematics) -> tuple[Pose, bool]:
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
    reached = from_matrix(head, body_yaw, (_within_half_turn(right), _within_half_turn(left)))
    return reached, bool(np.abs(reached - asked).max() > 1e-6)


def point(stamped: Any) -> Point:
    """The point of a PointStamped in `head_neutral`.

    Raises:
        Refused: another frame, a value that is not finite, or a point inside the head.
    """
    if stamped.header.frame_id not in ("", FRAME):
        raise Refused(f"the point must be given in the frame {FRAME}, not in {stamped.header.frame_id!r}")
    place = np.array([stamped.point.x, stamped.point.y, stamped.point.z])
    if not np.isfinite(place).all():
        raise Refused(f"the point must be finite, got {place.tolist()}")
    if float(np.linalg.norm(place)) < CLOSEST:
        raise Refused(
            f"the point {place.tolist()} is inside the head; nearer than {CLOSEST} m nothing can be looked at"
        )
    return place


def duration(name: str, value: float, shortest: float = 0.0) -> float:
    """A duration of a goal [s].

    Raises:
        Refused: it is out of range or no number.
    """
    if not shortest <= value <= LONGEST_S:
        raise Refused(f"{name} must be {shortest:g} to {LONGEST_S:g} s, got {value}")
    return float(value)


def _within_half_turn(angle: float) -> float:
    return min(math.pi, max(-math.pi, angle))
