"""Changing from one source of motion to another without a jump in position or velocity.

The new source takes over at once; what differs from the old one is added and decays to nothing ("inertialization",
D. Bollo, GDC 2018). So no source needs to know where the body happens to be when its turn comes.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from bbia_ros.motion.pose import ZERO, Pose

COMFORT: Final = np.array([0.06, 0.06, 0.06, 0.9, 0.9, 1.2, 1.0, 2.5, 2.5])
"""Mean speed [m/s, rad/s] at which differences decay; calm beside the robot's limits."""


class Handover:
    """The decaying difference. Owns its polynomial; `active` until it has decayed."""

    def __init__(self, shortest_s: float = 0.3, longest_s: float = 2.5) -> None:
        self._shortest, self._longest = shortest_s, longest_s
        self._offset, self._speed = ZERO, ZERO
        self._start, self._duration = 0.0, 0.0

    def begin(self, now: float, offset: Pose, velocity: Pose, duration_s: float | None = None) -> None:
        """Starts to decay.

        Args:
            now: [s].
            offset: old pose minus new pose.
            velocity: old velocity minus new velocity [1/s].
            duration_s: of the decay; None: from the size of the offset.
        """
        needed = float(np.max(np.abs(offset) / COMFORT)) if duration_s is None else duration_s
        self._duration = min(self._longest, max(self._shortest, needed))
        self._offset, self._speed, self._start = offset, velocity, now

    def cancel(self) -> None:
        """Nothing more to add."""
        self._duration = 0.0

    def active(self, now: float) -> bool:
        """Whether there is something left."""
        return now < self._start + self._duration

    def residual(self, now: float) -> Pose:
        """What to add now: a quintic from the given position and velocity, without acceleration, to rest at zero."""
        if not self.active(now):
            return ZERO
        s = max(0.0, (now - self._start) / self._duration)
        cube = s * s * s
        position = 1.0 - cube * (10.0 + s * (6.0 * s - 15.0))
        velocity = s - cube * (6.0 + s * (3.0 * s - 8.0))
        residual: Pose = position * self._offset + velocity * self._duration * self._speed
        return residual
