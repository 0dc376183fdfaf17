"""What can hold the primary place in motion: a named move, a pose to go to, something to look at."""

from __future__ import annotations

import math
from typing import Protocol

from bbia_ros.motion.gaze import Point, aim
from bbia_ros.motion.moves import Dance, Gesture
from bbia_ros.motion.pose import BODY, NEUTRAL, YAW, Pose
from bbia_ros.motion.tracking import ObjectFollower
from bbia_ros.motion.trajectory import Interpolation, minimum_jerk


class Primary(Protocol):
    """One item of the queue. It lives in the loop's thread once it has begun.

    Attributes:
        name: for people.
        lead_in_s: time in which the pose before decays into this one's; None: from the distance.
    """

    name: str
    lead_in_s: float | None

    def begin(self, now: float, base: Pose) -> None:
        """It is its turn; `base` is the pose before layers at this moment."""

    def progress(self, now: float) -> float:
        """Share of it that is done, in [0, 1]."""

    def done(self, now: float) -> bool:
        """Whether it has ended by itself."""


class PlayMove:
    """A named move, played where the body faces."""

    def __init__(self, name: str, move: Dance | Gesture, amplitude: float = 1.0, repeats: int = 1) -> None:
        self.name = name
        self._move, self._amplitude, self._repeats = move, amplitude, repeats
        self.lead_in_s = (move.lead_in_s or None) if isinstance(move, Gesture) else None
        self._start, self._turn = 0.0, 0.0

    @property
    def duration_s(self) -> float:
        """Of all repetitions [s]."""
        return self._repeats * self._move.duration_s

    def begin(self, now: float, base: Pose) -> None:
        """Starts the clock and takes the body's heading, unless the move goes to a rest pose."""
        self._start = now
        self._turn = float(base[BODY]) if self.lead_in_s is None else 0.0

    def pose(self, now: float) -> Pose:
        """Of the move at that time."""
        pose: Pose = self._move.resting + self._move.offset(now - self._start, self._repeats, self._amplitude)
        pose[YAW] += self._turn
        pose[BODY] += self._turn
        return pose

    def progress(self, now: float) -> float:
        """Share of its time."""
        return min(1.0, max(0.0, (now - self._start) / self.duration_s))

    def done(self, now: float) -> bool:
        """Whether its time is over."""
        return now - self._start >= self.duration_s


class Goto:
    """A pose to go to in a given time.

    Attributes:
        hold_s: how long to stay there afterwards unless something else is to be done [s].
    """

    lead_in_s = 0.0

    def __init__(
        self,
        target: Pose,
        duration_s: float,
        shape: Interpolation = minimum_jerk,
        hold_s: float = 0.0,
        name: str = "goto",
    ) -> None:
        self.name = name
        self._target, self._duration, self._shape, self.hold_s = target, duration_s, shape, hold_s
        self._start, self._from = 0.0, NEUTRAL

    def begin(self, now: float, base: Pose) -> None:
        """Starts from where the body is."""
        self._start, self._from = now, base.copy()

    def pose(self, now: float) -> Pose:
        """On the way, then the target."""
        share = min(1.0, max(0.0, (now - self._start) / self._duration))
        pose: Pose = self._from + self._shape(share) * (self._target - self._from)
        return pose

    def progress(self, now: float) -> float:
        """Share of the way's time."""
        return min(1.0, max(0.0, (now - self._start) / self._duration))

    def done(self, now: float) -> bool:
        """Whether the way is over."""
        return now - self._start >= self._duration


class LookAt:
    """Turns the gaze to a point, or to a thing that perception keeps seeing, and holds it there."""

    lead_in_s = None
    TURNING_S = 4.0
    """A gaze that has not come to rest after this long will not: the hold begins anyway."""
    LOST_S = 3.0
    """A thing that has not been seen for this long is lost."""

    def __init__(self, what: Point | ObjectFollower, duration_s: float, hold_s: float) -> None:
        """Makes something to look at.

        Args:
            what: a point in `head_neutral` [m], or who keeps track of the thing.
            duration_s: to get there; 0: quickly.
            hold_s: to stay.
        """
        self.what = what
        self.name = f"look_at {what.name}" if isinstance(what, ObjectFollower) else "look_at"
        self.sharpness = min(12.0, max(2.0, 7.0 / duration_s)) if duration_s > 0.0 else 10.0
        self._duration, self._hold = duration_s, hold_s
        self._start, self._arrived = 0.0, math.inf

    def begin(self, now: float, base: Pose) -> None:
        """Starts the clock."""
        self._start = now

    def point(self, now: float) -> Point:
        """What to look at [m]."""
        return self.what.track.at(now)[0] if isinstance(self.what, ObjectFollower) else self.what

    def target(self, now: float, lead_s: float) -> tuple[float, float, float, float]:
        """Yaw, pitch [rad] and their speeds [rad/s] to chase."""
        if isinstance(self.what, ObjectFollower):
            point, azimuth_speed, elevation_speed = self.what.track.at(now + lead_s)
            return *aim(point), azimuth_speed, -elevation_speed
        return *aim(self.what), 0.0, 0.0

    def settle(self, now: float, still: bool) -> None:
        """Told in every tick whether the gaze is at rest; the hold begins with the first rest."""
        turning = now - self._start
        rested = turning >= max(0.2, self._duration) and (still or turning > self._duration + self.TURNING_S)
        if math.isinf(self._arrived) and rested:
            self._arrived = now

    def lost(self, now: float) -> bool:
        """Whether the thing is out of sight."""
        return isinstance(self.what, ObjectFollower) and now - self.what.track.seen > self.LOST_S

    def progress(self, now: float) -> float:
        """Share of the hold."""
        if math.isinf(self._arrived):
            return 0.0
        return min(1.0, (now - self._arrived) / self._hold) if self._hold > 0.0 else 1.0

    def done(self, now: float) -> bool:
        """Whether it was held long enough, or the thing is lost."""
        return now >= self._arrived + self._hold or self.lost(now)
