"""What a restless household does to its robot, drawn at random and repeatable by its seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

MODE, SAY, VISIT, LEAVE, WAIT, REST = "mode", "say", "visit", "leave", "wait", "rest"
MODES = {"sleep": 1, "idle": 1, "watch": 2, "listen": 2, "converse": 4}
"""How likely each mode is, relative to the others: most where most is in use."""
WEIGHTS = {
    "sleep": {MODE: 5, VISIT: 1, LEAVE: 1, WAIT: 1},
    "idle": {MODE: 4, VISIT: 1, LEAVE: 1, WAIT: 2},
    "watch": {MODE: 3, VISIT: 3, LEAVE: 1, WAIT: 2},
    "listen": {MODE: 2, SAY: 3, VISIT: 2, LEAVE: 1, WAIT: 1},
    "converse": {MODE: 2, SAY: 6, VISIT: 2, LEAVE: 1, WAIT: 1},
}
"""How likely each action is in each mode, relative to the others."""
REST_EVERY = (10, 20)
"""After so many actions the robot sleeps and is measured at rest."""
AZIMUTH = math.radians(35.0)
"""Visitors walk and stand on this side and that of straight ahead [rad]."""
DISTANCE_M = (0.7, 1.0)
WAIT_S = (0.5, 6.0)


@dataclass(frozen=True)
class Action:
    """One thing that is done.

    Attributes:
        kind: mode, say, visit, leave, wait or rest.
        what: the mode, or the line.
        start: azimuth at which the visitor starts [rad].
        end: and at which he ends [rad].
        distance: of the visitor [m].
        duration: of a wait [s].
    """

    kind: str
    what: str = ""
    start: float = 0.0
    end: float = 0.0
    distance: float = 0.0
    duration: float = 0.0

    def __str__(self) -> str:
        """For people."""
        if self.kind == VISIT:
            return f"visitor from {math.degrees(self.start):.0f} to {math.degrees(self.end):.0f} deg"
        if self.kind == WAIT:
            return f"wait {self.duration:.1f} s"
        return f"{self.kind} {self.what}".rstrip()


class Chooser:
    """Draws actions; the same seed gives the same ones, whatever comes of them."""

    def __init__(self, random: Random, lines: Sequence[str]) -> None:
        """Begins in sleep.

        Args:
            random: the source of chance.
            lines: what visitors say.
        """
        self._random, self._lines = random, tuple(lines)
        self._mode = "sleep"
        self._until_rest = random.randint(*REST_EVERY)

    def next(self) -> Action:
        """The next action."""
        if self._until_rest == 0:
            self._until_rest = self._random.randint(*REST_EVERY)
            self._mode = "sleep"
            return Action(REST)
        self._until_rest -= 1
        weights = WEIGHTS[self._mode]
        kind = self._random.choices(list(weights), list(weights.values()))[0]
        if kind == MODE:
            others = {mode: weight for mode, weight in MODES.items() if mode != self._mode}
            self._mode = self._random.choices(list(others), list(others.values()))[0]
            return Action(MODE, self._mode)
        if kind == SAY:
            return Action(SAY, self._random.choice(self._lines))
        if kind == VISIT:
            start, end = (self._random.uniform(-AZIMUTH, AZIMUTH) for _ in range(2))
            return Action(VISIT, start=start, end=end, distance=self._random.uniform(*DISTANCE_M))
        if kind == WAIT:
            return Action(WAIT, duration=self._random.uniform(*WAIT_S))
        return Action(kind)
