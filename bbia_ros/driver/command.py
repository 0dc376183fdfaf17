"""What stands between a target and the robot: refuses nonsense, keeps to the envelope, obeys the stop."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bbia_ros.driver.backend import Target
from bbia_ros.driver.kinematics import Kinematics
from bbia_ros.driver.reachy_mini import ENVELOPE

_CHANGED = 1e-6


class TargetRefused(ValueError):
    """A target that the robot must not follow; the message says why."""


@dataclass
class Counts:
    """What happened to the targets so far.

    Attributes:
        accepted: Followed as they were.
        clamped: Followed after they were moved into the envelope.
        refused: Not followed: malformed.
        held_back: Not followed: the stop is on, or the motors are off.
    """

    accepted: int = 0
    clamped: int = 0
    refused: int = 0
    held_back: int = 0


class CommandGate:
    """Owns the stop latch and the counts. Used from one thread.

    Attributes:
        stopped: The latch.
        motors: Whether the motors have torque; without it no target passes.
        counts: What happened so far.
    """

    def __init__(self, kinematics: Kinematics) -> None:
        self._kinematics = kinematics
        self.stopped = False
        self.motors = True
        self.counts = Counts()

    def stop(self) -> None:
        """Latches: no target passes until `clear`."""
        self.stopped = True

    def clear(self) -> None:
        """Ends the stop."""
        self.stopped = False

    def admit(self, target: Target) -> Target | None:
        """Returns the target that the robot may follow; None while the stop is on or the motors are off.

        Raises:
            TargetRefused: a number is not finite or the head's pose is no rigid transform.
        """
        try:
            _check(target)
        except TargetRefused:
            self.counts.refused += 1
            raise
        if self.stopped or not self.motors:
            self.counts.held_back += 1
            return None
        head, body_yaw = self._kinematics.project(target.head, target.body_yaw)
        limit = ENVELOPE.antenna
        antennas = tuple(min(limit, max(-limit, angle)) for angle in target.antennas)
        moved = abs(body_yaw - target.body_yaw) > _CHANGED or np.abs(head - target.head).max() > _CHANGED
        if moved or antennas != tuple(target.antennas):
            self.counts.clamped += 1
        else:
            self.counts.accepted += 1
        return Target(head, body_yaw, (antennas[0], antennas[1]))


def _check(target: Target) -> None:
    if target.head.shape != (4, 4) or not np.isfinite(target.head).all():
        raise TargetRefused("the head's pose must be finite")
    rotation = target.head[:3, :3]
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3:
        raise TargetRefused("the head's orientation is no rotation")
    if not all(math.isfinite(value) for value in (target.body_yaw, *target.antennas)):
        raise TargetRefused("body yaw and antennas must be finite")
