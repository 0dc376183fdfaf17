"""Notices that the body does not follow: driver/stop is on, the motors are off, or somebody holds the head."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

import numpy as np

from bbia_ros.motion.pose import BODY, LEFT, PITCH, RIGHT, ROLL, YAW, Pose

WINDOW_S: Final = 0.5
"""The body may be this late [s]."""
FAR_ANGLE: Final = math.radians(8.0)
FAR_WAY: Final = 0.015
"""Farther than this [rad, m] from everything that was sent in the window is not following."""
PATIENCE_S: Final = 0.4
PROBE_ANGLE: Final = math.radians(4.0)
PROBE_WAY: Final = 0.008
"""While it does not follow, targets stay this close to where it is, so nothing leaps when it is let go."""
PROBE_ANTENNAS: Final = math.radians(5.0)
"""The antennas are asked to perk up by this much: they tell that it follows again even where the head need not move."""
RELEASED: Final = 0.4
"""Share of a probe by which it must have moved to be free again."""


class Obedience:
    """Compares what was sent with what is measured. Owns the window of what was sent.

    Attributes:
        held: whether the body does not follow.
    """

    def __init__(self) -> None:
        self._sent: deque[tuple[float, Pose]] = deque(maxlen=100)
        self._apart_since = math.inf
        self._held_at: Pose | None = None
        self.held = False

    def reset(self) -> None:
        """Nothing was sent, the body is free."""
        self._sent.clear()
        self._apart_since, self.held = math.inf, False

    def send(self, now: float, pose: Pose) -> None:
        """This pose is being sent."""
        self._sent.append((now, pose))
        while self._sent and self._sent[0][0] < now - WINDOW_S:
            self._sent.popleft()

    def judge(self, now: float, measured: Pose) -> bool:
        """Takes in where the body is; whether `held` has changed."""
        if self.held:
            return self._judge_release(measured)
        if not self._sent or min(_apart(pose, measured) for _, pose in list(self._sent)[::4]) < 1.0:
            self._apart_since = math.inf
            return False
        self._apart_since = min(self._apart_since, now)
        if now - self._apart_since < PATIENCE_S:
            return False
        self.held, self._held_at = True, measured.copy()
        self._sent.clear()
        return True

    def probe(self, wish: Pose) -> Pose:
        """What to send while it does not follow: where it is, a little towards the wish, the antennas a little up."""
        assert self._held_at is not None
        way = wish - self._held_at
        size = max(
            float(np.abs(way[:3]).max()) / PROBE_WAY, float(np.abs(way[ROLL : BODY + 1]).max()) / PROBE_ANGLE, 1.0
        )
        pose: Pose = self._held_at + way / size
        pose[RIGHT], pose[LEFT] = self._held_at[RIGHT] + PROBE_ANTENNAS, self._held_at[LEFT] - PROBE_ANTENNAS
        return pose

    def _judge_release(self, measured: Pose) -> bool:
        assert self._held_at is not None
        moved = np.abs(measured - self._held_at)
        shift, turn = float(moved[:3].max()), float(moved[ROLL : BODY + 1].max())
        antennas = float(moved[[RIGHT, LEFT]].min())
        if max(shift / PROBE_WAY, turn / PROBE_ANGLE, antennas / PROBE_ANTENNAS) < RELEASED:
            return False
        self.reset()
        return True


def _apart(sent: Pose, measured: Pose) -> float:
    """Distance in units of what is far; 1 and more is far."""
    off = np.abs(sent - measured)
    return max(float(off[:3].max()) / FAR_WAY, float(off[[ROLL, PITCH, YAW, BODY]].max()) / FAR_ANGLE)
