"""The simulated visitor: a portrait that walks on a circle around the robot and always faces it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bbia_ros.driver.reachy_mini import HEAD_TO_CAMERA, WORLD_TO_HEAD_NEUTRAL

EYE_HEIGHT = float((WORLD_TO_HEAD_NEUTRAL @ HEAD_TO_CAMERA)[2, 3])
"""Height of the eye camera above the table when the head is neutral [m]."""
DISTANCES = (0.4, 3.0)
"""Nearest and farthest the visitor comes [m]."""
HEIGHTS = (-0.5, 2.0)
"""Lowest and highest face [m]."""
MAX_SPEED = math.tau
"""Fastest walk [rad/s]."""


class VisitorError(ValueError):
    """A visit that cannot be; the message says why."""


@dataclass(frozen=True)
class Arc:
    """A walk on a circle around the robot's axis at constant angular speed.

    Attributes:
        start: Azimuth at the start [rad], 0 straight ahead, positive to the robot's left.
        end: Azimuth at the end [rad].
        speed: Angular speed [rad/s], positive; without meaning when start and end are the same.
        distance: From the robot's axis [m].
        height: Of the face's centre in `world` [m].
    """

    start: float
    end: float
    speed: float
    distance: float
    height: float = EYE_HEIGHT

    def __post_init__(self) -> None:
        values = (self.start, self.end, self.speed, self.distance, self.height)
        if not all(math.isfinite(value) for value in values):
            raise VisitorError(f"every number of a visit must be finite, got {values}")
        if self.start != self.end and not 0.0 < self.speed <= MAX_SPEED:
            raise VisitorError(f"speed must be above 0 and at most {MAX_SPEED:.1f} rad/s, got {self.speed}")
        if not DISTANCES[0] <= self.distance <= DISTANCES[1]:
            raise VisitorError(f"distance must be {DISTANCES[0]} to {DISTANCES[1]} m, got {self.distance}")
        if not HEIGHTS[0] <= self.height <= HEIGHTS[1]:
            raise VisitorError(f"height must be {HEIGHTS[0]} to {HEIGHTS[1]} m, got {self.height}")

    @property
    def duration(self) -> float:
        """Time until the end is reached [s]."""
        return 0.0 if self.start == self.end else abs(self.end - self.start) / self.speed

    def azimuth(self, elapsed: float) -> float:
        """Returns the azimuth [rad] `elapsed` seconds after the start; afterwards the end."""
        if elapsed >= self.duration:
            return self.end
        return self.start + math.copysign(self.speed * max(0.0, elapsed), self.end - self.start)

    def face(self, elapsed: float) -> tuple[float, float, float]:
        """Returns the face's centre in `world` [m]."""
        azimuth = self.azimuth(elapsed)
        return self.distance * math.cos(azimuth), self.distance * math.sin(azimuth), self.height

    def heading(self, elapsed: float) -> float:
        """Returns the yaw in `world` [rad] into which the face looks: towards the robot."""
        return self.azimuth(elapsed) + math.pi
