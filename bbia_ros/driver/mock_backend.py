"""A stand-in without physics, camera and sound, for tests and for trying nodes: moves at limited speed."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from bbia_ros.driver import reachy_mini
from bbia_ros.driver.backend import RobotState, Target
from bbia_ros.driver.kinematics import Kinematics, KinematicsError

SPEED = 3.0
"""Fastest joint [rad/s]."""


class MockBackend:
    """Joint angles that follow their targets (`backend.Backend`).

    Args:
        clock_ns: Steady clock; tests bring their own.
    """

    name = "mock"
    camera = None
    microphone = None
    loudspeaker = None

    def __init__(self, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock_ns = clock_ns
        self._kinematics = Kinematics()
        self._now = np.concatenate([self._kinematics.inverse(reachy_mini.SLEEP_HEAD, 0.0), reachy_mini.SLEEP_ANTENNAS])
        self._target = self._now.copy()
        self._motors = True
        self._moved_ns = clock_ns()
        self._head = np.array(reachy_mini.SLEEP_HEAD)
        self._connected = False

    def connect(self) -> None:
        """Nothing to connect to."""
        self._connected = True
        self._moved_ns = self._clock_ns()

    def disconnect(self) -> None:
        """Stops."""
        self._connected = False

    def send_target(self, target: Target) -> None:
        """Sets the joints' targets."""
        self._move()
        self._target = np.concatenate([self._kinematics.inverse(target.head, target.body_yaw), target.antennas])

    def hold(self) -> None:
        """Sets the targets to where the joints are."""
        self._move()
        self._target = self._now.copy()

    def enable_motors(self, on: bool) -> None:
        """Without motors nothing moves, not even down."""
        self.hold()
        self._motors = on

    def read_state(self) -> RobotState | None:
        """Returns where the joints are now."""
        if not self._connected:
            return None
        self._move()
        try:
            self._head, _ = self._kinematics.forward(self._now[:7])
        except KinematicsError:
            pass  # between two poses the platform may have none; the last one is near
        return RobotState(
            self._moved_ns, self._now[:7].copy(), (float(self._now[7]), float(self._now[8])), self._head.copy()
        )

    def supervise(self) -> str:
        """Nothing can go wrong."""
        return ""

    def _move(self) -> None:
        now = self._clock_ns()
        reach = SPEED * max(0, now - self._moved_ns) * 1e-9
        self._moved_ns = now
        if self._motors:
            self._now += np.clip(self._target - self._now, -reach, reach)
