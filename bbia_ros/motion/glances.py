"""Calm looks around while nobody is there to look at."""

from __future__ import annotations

import math
import random
from typing import Final

WIDEST: Final = math.radians(24.0)
TALLEST: Final = math.radians(7.0)
SHARPNESS: Final = 3.5
"""Slower than looking at somebody: about a second for a glance."""


class Glances:
    """Where to look when there is nothing to see: a new direction every few seconds, mostly ahead.

    The sequence is the same for the same seed.
    """

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._until = -math.inf
        self._direction = (0.0, 0.0)

    def direction(self, now: float) -> tuple[float, float]:
        """Yaw and pitch [rad] to look at now."""
        if now >= self._until:
            first = math.isinf(self._until)
            away = not first and self._direction == (0.0, 0.0)
            if away:
                yaw = self._random.uniform(-WIDEST, WIDEST)
                self._direction = (yaw, self._random.uniform(-TALLEST, 0.5 * TALLEST))
                self._until = now + self._random.uniform(1.5, 3.0)
            else:
                self._direction = (0.0, 0.0)
                self._until = now + self._random.uniform(3.0, 6.0)
        return self._direction

    def restart(self) -> None:
        """Begins with a look ahead the next time."""
        self._until, self._direction = -math.inf, (0.0, 0.0)
