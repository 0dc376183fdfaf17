"""Where the eye looks: from a bearing in an image to a point in space, and from a point to head angles.

The eye sits 5 cm above the middle of the head, so what it sees 0.8 m away is 3.7 degrees off for whoever aims the
head's axis instead of the camera's. All points are in `head_neutral` [m].
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bbia_ros.driver.reachy_mini import HEAD_TO_CAMERA
from bbia_ros.geometry import angle_between

Point = NDArray[np.float64]

CAMERA_FORWARD: Final = float(HEAD_TO_CAMERA[0, 3])
CAMERA_UP: Final = float(HEAD_TO_CAMERA[2, 3])
CLOSEST: Final = 0.1
"""Nearer than this [m] nothing is aimed at: the angles run away."""


@dataclass(frozen=True)
class Sighting:
    """Something that perception saw in one image.

    Attributes:
        name: what it is called: "face" or an object's label.
        track_id: stable over frames; 0: unknown.
        bearing: unit vector from the eye, in head axes at the moment of the image.
        distance: from the eye [m]; NaN: unknown.
        score: confidence in [0, 1].
    """

    name: str
    track_id: int
    bearing: tuple[float, float, float]
    distance: float
    score: float = 1.0

    def usable(self) -> bool:
        """Whether the bearing is a direction."""
        return all(map(math.isfinite, self.bearing)) and abs(math.hypot(*self.bearing) - 1.0) < 0.05

    def point_in_head(self, assumed_distance: float) -> Point:
        """The thing in the head frame; at the assumed distance [m] when its own is unknown."""
        distance = self.distance if math.isfinite(self.distance) and self.distance > 0.0 else assumed_distance
        return HEAD_TO_CAMERA[:3, 3] + max(CLOSEST, distance) * np.array(self.bearing)


class PoseHistory:
    """Where the head was when an image was taken. Bounded; may be used from several threads."""

    def __init__(self, depth: int = 100, tolerance_s: float = 0.15) -> None:
        """Makes an empty history.

        Args:
            depth: poses that are kept (two seconds at 50 Hz).
            tolerance_s: how far outside the kept span a stamp may be; the nearest pose then stands in.
        """
        self._poses: deque[tuple[float, NDArray[np.float64]]] = deque(maxlen=depth)
        self._tolerance = tolerance_s
        self._lock = threading.Lock()

    def add(self, stamp: float, head: NDArray[np.float64]) -> None:
        """Remembers a measured head pose 4x4 if it is newer than the last.

        One that is much older means that the clock was set back: what was known before is forgotten.
        """
        with self._lock:
            if self._poses and stamp <= self._poses[-1][0]:
                if stamp > self._poses[-1][0] - 1.0:
                    return
                self._poses.clear()
            self._poses.append((stamp, head))

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._poses.clear()

    def newest(self) -> NDArray[np.float64] | None:
        """The last head pose, None without one."""
        with self._lock:
            return self._poses[-1][1] if self._poses else None

    def locate(self, stamp: float, in_head: Point) -> Point | None:
        """A point of the head frame at that time, in `head_neutral`; None when no pose is known near that time.

        Between two poses the point itself is interpolated: they are 20 ms apart, the chord is as good as the arc.
        """
        with self._lock:
            before: tuple[float, NDArray[np.float64]] | None = None
            after: tuple[float, NDArray[np.float64]] | None = None
            for entry in reversed(self._poses):
                if entry[0] <= stamp:
                    before = entry
                    break
                after = entry
        if before is None or after is None:
            only = before or after
            if only is None or abs(only[0] - stamp) > self._tolerance:
                return None
            return _transform(only[1], in_head)
        share = (stamp - before[0]) / (after[0] - before[0])
        start, end = _transform(before[1], in_head), _transform(after[1], in_head)
        return start + share * (end - start)


def aim(point: Sequence[float] | Point) -> tuple[float, float]:
    """Yaw and pitch [rad] with which the camera's optical axis goes through a point, head position neutral, roll zero.

    In the vertical plane of the point at distance D and elevation h, the axis passes CAMERA_UP above the head's centre:
    the head's elevation is h - asin(CAMERA_UP / D). CAMERA_FORWARD is along the axis and does not matter.
    """
    x, y, z = (float(v) for v in point)
    across = math.hypot(x, y)
    distance = max(CLOSEST, math.hypot(across, z))
    return math.atan2(y, x), -(math.atan2(z, across) - math.asin(min(1.0, CAMERA_UP / distance)))


def gaze_error(head: NDArray[np.float64], point: ArrayLike) -> float:
    """Angle [rad] between the camera's optical axis, the head being at this 4x4, and the direction to a point."""
    camera = head @ HEAD_TO_CAMERA
    return angle_between(camera[:3, 2], np.asarray(point, dtype=np.float64) - camera[:3, 3])


def _transform(pose: NDArray[np.float64], point: Point) -> Point:
    moved: Point = pose[:3, :3] @ point + pose[:3, 3]
    return moved
