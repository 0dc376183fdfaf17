"""Makes up for what the head stays behind while it looks at something: friction in the joints, the head's own weight.

In the simulator dry friction holds the platform 2 degrees behind a slow turn. The measured pose shows it, so a slow
integrator turns the head that much farther, only as long as the gaze has a target.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

import numpy as np

from bbia_ros.motion.pose import PITCH, YAW, ZERO, Pose

GAIN: Final = 2.5
"""[1/s] of the integrator; well below what a lag of 0.2 s allows."""
LARGEST: Final = math.radians(5.0)
ENOUGH: Final = math.radians(0.3)
"""Differences below this are left alone, or friction would make the head hunt."""
CREDIBLE: Final = math.radians(8.0)
"""Differences beyond this come from a quick turn, not from friction."""
FADE_S: Final = 0.4


class Trim:
    """The correction of head yaw and pitch. Owns the integrator and the recent wishes."""

    def __init__(self) -> None:
        self._wishes: deque[tuple[float, float, float]] = deque(maxlen=100)
        self._yaw = self._pitch = 0.0
        self._judged = -math.inf

    def reset(self) -> None:
        """No correction."""
        self._wishes.clear()
        self._yaw = self._pitch = 0.0

    def update(
        self, now: float, dt: float, wish: Pose, measured: tuple[float, Pose] | None, lag_s: float, on: bool
    ) -> Pose:
        """What to add to the wish.

        Args:
            now: [s].
            dt: since the last tick [s].
            wish: the pose that the head should have `lag_s` later.
            measured: stamp [s] and pose, the newest; None when unknown.
            lag_s: of the robot [s].
            on: whether the gaze has a target; otherwise the correction fades away.
        """
        self._wishes.append((now, float(wish[YAW]), float(wish[PITCH])))
        if not on:
            keep = max(0.0, 1.0 - dt / FADE_S)
            self._yaw, self._pitch = keep * self._yaw, keep * self._pitch
            if max(abs(self._yaw), abs(self._pitch)) < 1e-5:
                self._yaw = self._pitch = 0.0
                return ZERO
        elif measured is not None and measured[0] > self._judged:
            self._integrate(min(0.1, measured[0] - self._judged), *measured, lag_s)
        offset = np.zeros(wish.size)
        offset[YAW], offset[PITCH] = self._yaw, self._pitch
        return offset

    def _integrate(self, dt: float, stamp: float, pose: Pose, lag_s: float) -> None:
        self._judged = stamp
        then = next((entry for entry in reversed(self._wishes) if entry[0] <= stamp - lag_s), None)
        if then is None:
            return
        self._yaw = _step(self._yaw, then[1] - float(pose[YAW]), dt)
        self._pitch = _step(self._pitch, then[2] - float(pose[PITCH]), dt)


def _step(value: float, behind: float, dt: float) -> float:
    if not ENOUGH < abs(behind) < CREDIBLE:
        return value
    return min(LARGEST, max(-LARGEST, value + GAIN * dt * behind))
