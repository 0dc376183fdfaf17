"""Where something that is seen a few times a second is now: an alpha-beta filter on its direction and distance.

A frame is a tenth of a second old when its faces are known, and the head needs time to get there. At 30 deg/s that is
more than 3 degrees, so the filter estimates the angular velocity and looks ahead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bbia_ros.geometry import azimuth_elevation, direction
from bbia_ros.motion.gaze import Point, PoseHistory, Sighting

FORGET_S = 1.0
"""After a gap of this length the old velocity says nothing."""
JUMP = math.radians(25.0)
"""A residual beyond this is another thing, or a turn that no filter foresees: start over."""
FASTEST = math.radians(120.0)
"""[rad/s] of a person at arm's length; estimates are clipped to it."""


class Track:
    """One thing's direction over time. Owns the filter's state; `name` and `track_id` say what it is."""

    def __init__(self, gain: float = 0.6, look_ahead_s: float = 0.6, still: bool = False) -> None:
        """Makes an empty track.

        Args:
            gain: alpha, the share of each residual that is believed; beta is alpha^2 / (2 - alpha) (Kalata 1984).
            look_ahead_s: longest extrapolation beyond the last sighting; after it the direction is held.
            still: the thing does not move by itself: no velocity is estimated.
        """
        self._alpha = gain
        self._beta = 0.0 if still else gain * gain / (2.0 - gain)
        self._look_ahead = look_ahead_s
        self._azimuth = self._elevation = self._distance = 0.0
        self._azimuth_speed = self._elevation_speed = 0.0
        self._stamp = -math.inf
        self.name, self.track_id = "", 0

    @property
    def seen(self) -> float:
        """Stamp [s] of the last sighting, -inf before the first."""
        return self._stamp

    def see(self, stamp: float, point: Point) -> None:
        """A measured position in `head_neutral` [m] at that time [s]. One that is older than the last is ignored."""
        azimuth, elevation = azimuth_elevation(point)
        distance = float(np.linalg.norm(point))
        gap = stamp - self._stamp
        if gap <= 0.0:
            return
        if gap > FORGET_S:
            self._restart(stamp, azimuth, elevation, distance)
            return
        expected_azimuth = self._azimuth + gap * self._azimuth_speed
        expected_elevation = self._elevation + gap * self._elevation_speed
        off_azimuth = math.remainder(azimuth - expected_azimuth, math.tau)
        off_elevation = elevation - expected_elevation
        if math.hypot(off_azimuth, off_elevation) > JUMP:
            self._restart(stamp, azimuth, elevation, distance)
            return
        self._azimuth = expected_azimuth + self._alpha * off_azimuth
        self._elevation = expected_elevation + self._alpha * off_elevation
        self._distance += self._alpha * (distance - self._distance)
        pull = self._beta / max(0.03, gap)
        self._azimuth_speed = _clip(self._azimuth_speed + pull * off_azimuth, FASTEST)
        self._elevation_speed = _clip(self._elevation_speed + pull * off_elevation, FASTEST)
        self._stamp = stamp

    def at(self, now: float) -> tuple[Point, float, float]:
        """Expected position [m], and azimuth and elevation speed [rad/s], at a time [s] after the last sighting."""
        ahead = max(0.0, now - self._stamp)
        moving = 1.0 if ahead < self._look_ahead else 0.0
        ahead = min(ahead, self._look_ahead)
        point = self._distance * direction(
            self._azimuth + ahead * self._azimuth_speed, self._elevation + ahead * self._elevation_speed
        )
        return point, moving * self._azimuth_speed, moving * self._elevation_speed

    def _restart(self, stamp: float, azimuth: float, elevation: float, distance: float) -> None:
        self._azimuth, self._elevation, self._distance = azimuth, elevation, distance
        self._azimuth_speed = self._elevation_speed = 0.0
        self._stamp = stamp


class FaceFollower:
    """Which face the gaze stays on, and where it is.

    The nearest face wins; the one being followed keeps the gaze until another is clearly nearer or it has not been seen
    for `patience_s`. A lost face is looked for where it vanished for `hold_s`.
    """

    def __init__(
        self, history: PoseHistory, gain: float = 0.6, hold_s: float = 2.0, assumed_distance: float = 0.8
    ) -> None:
        """Makes a follower of nobody.

        Args:
            history: measured head poses.
            gain: see Track.
            hold_s: how long a lost face keeps the gaze.
            assumed_distance: [m] of a face whose distance is unknown.
        """
        self._history, self._gain, self._hold, self._assumed = history, gain, hold_s, assumed_distance
        self._track: Track | None = None
        self.patience_s = 0.6
        self.nearer = 0.7

    def see(self, stamp: float, faces: Sequence[Sighting]) -> bool:
        """Faces of one image, nearest first; whether one is followed because of it."""
        usable = [face for face in faces if face.usable()]
        if not usable:
            return False
        face = self._choose(stamp, usable)
        if face is None:
            return False
        point = self._history.locate(stamp, face.point_in_head(self._assumed))
        if point is None:
            return False
        if self._track is None or self._track.track_id != face.track_id:
            self._track = Track(self._gain)
            self._track.name, self._track.track_id = f"face {face.track_id}" if face.track_id else "face", face.track_id
        self._track.see(stamp, point)
        return True

    def current(self, now: float) -> Track | None:
        """The track to look at, None when nobody is there or was within `hold_s`."""
        if self._track is not None and now - self._track.seen > self._hold:
            self._track = None
        return self._track

    def forget(self) -> None:
        """Follows nobody."""
        self._track = None

    def _choose(self, stamp: float, faces: Sequence[Sighting]) -> Sighting | None:
        nearest = faces[0]
        if self._track is None or stamp - self._track.seen > self.patience_s:
            return nearest
        same = next((face for face in faces if face.track_id == self._track.track_id), None)
        if same is None:
            return None
        return nearest if nearest.distance < self.nearer * same.distance else same


class ObjectFollower:
    """Keeps the gaze on one thing of a kind, sharper with each image as it gets centred.

    Attributes:
        track: of the thing.
    """

    def __init__(self, name: str, history: PoseHistory, assumed_distance: float = 0.45, apart: float = 0.35) -> None:
        """Starts to look for a thing.

        Args:
            name: label, or "face".
            history: measured head poses.
            assumed_distance: [m] of a thing whose distance is unknown.
            apart: [rad] farther from where the thing was than this is another of its kind.
        """
        self.name = name
        self._history, self._assumed, self._apart = history, assumed_distance, apart
        self.track = Track(0.5, still=name != "face")
        self.track.name = name

    def expect(self, stamp: float, point: Point) -> None:
        """The thing is out of the image; it was at this point [m] when it was last seen."""
        self.track.see(stamp, point)

    def see(self, stamp: float, things: Sequence[Sighting]) -> bool:
        """Things of one image; whether ours is among them."""
        best: Point | None = None
        best_score = -1.0
        for thing in things:
            if thing.name != self.name or not thing.usable():
                continue
            point = self._history.locate(stamp, thing.point_in_head(self._assumed))
            if point is None:
                continue
            if math.isfinite(self.track.seen):
                off = _angle(point, self.track.at(stamp)[0])
                score = 1.0 - off if off < self._apart else -1.0
            else:
                score = thing.score
            if score > best_score:
                best, best_score = point, score
        if best is None:
            return False
        self.track.see(stamp, best)
        return True


class Whereabouts:
    """Where things were last seen, by name, so that one can look back at what has left the image. Bounded."""

    LIMIT = 64

    def __init__(self, history: PoseHistory, assumed_distance: float = 0.45) -> None:
        """Knows nothing yet.

        Args:
            history: measured head poses.
            assumed_distance: [m] of a thing whose distance is unknown.
        """
        self._history, self._assumed = history, assumed_distance
        self._places: dict[str, tuple[float, Point]] = {}

    def see(self, stamp: float, things: Sequence[Sighting]) -> None:
        """Remembers the things of one image; the best of each kind comes first."""
        named: set[str] = set()
        for thing in things:
            if thing.name in named or not thing.usable():
                continue
            point = self._history.locate(stamp, thing.point_in_head(self._assumed))
            if point is not None:
                named.add(thing.name)
                self._places.pop(thing.name, None)
                self._places[thing.name] = (stamp, point)
        while len(self._places) > self.LIMIT:
            del self._places[next(iter(self._places))]

    def last(self, name: str, since: float) -> Point | None:
        """Where it was last seen, None if not since that time [s]."""
        stamp, point = self._places.get(name, (-math.inf, None))
        return point if stamp >= since else None


def _angle(a: Point, b: Point) -> float:
    return math.acos(min(1.0, max(-1.0, float(a @ b) / float(np.linalg.norm(a) * np.linalg.norm(b)))))


def _clip(value: float, limit: float) -> float:
    return min(limit, max(-limit, value))
