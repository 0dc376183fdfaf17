"""Stable identities for the boxes of successive images.

Each track is an alpha-beta filter with constant velocity over the box's centre and size. Detections are matched to
predicted boxes best first (greedy), by intersection over union and by centre distance, and only where the labels
agree. What is published is the measured box, never the filtered one: the filter only tells who is who.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

Warp = Callable[[float, float], tuple[float, float]]
"""Moves a pixel of the previous image to where it lies in this one if only the camera has turned; NaN: out of sight."""

ALPHA = 0.85
"""Share of a position's innovation that is believed: detectors place boxes to a few percent of their size."""

BETA = 0.3
"""Share of a velocity's innovation that is believed."""

GATE = 1.0
"""Largest distance between predicted and measured centre, in mean box sides; without overlap, too."""

MAX_SIZE_RATIO = 2.5
"""Boxes whose sides (geometric mean) differ by more than this factor are never the same thing."""


@dataclass
class _Track:
    identity: int
    label: str
    state: FloatArray  # centre x, centre y, width, height [pixel]
    velocity: FloatArray  # of these [pixel/s]
    seen: float  # stamp of the last match [s]


class Tracker:
    """Gives boxes identities that last from image to image.

    Owns its tracks, at most `max_tracks`. Identities count from 1 and are never used twice.
    """

    def __init__(self, max_tracks: int = 100, coast_s: float = 1.0) -> None:
        """Start without tracks.

        Args:
            max_tracks: at most so many at a time; a new one then replaces the one unseen for longest, if any is unseen.
            coast_s: a track lives on for so long without a match [s].
        """
        if max_tracks < 1 or not coast_s >= 0.0:
            raise ValueError(f"max_tracks {max_tracks} must be at least 1 and coast_s {coast_s} not negative")
        self._max_tracks = max_tracks
        self._coast_s = coast_s
        self._tracks: list[_Track] = []
        self._next = 1
        self._stamp: float | None = None

    def __len__(self) -> int:
        return len(self._tracks)

    def reset(self) -> None:
        """Forget all tracks; identities go on counting."""
        self._tracks.clear()
        self._stamp = None

    def update(
        self,
        boxes: ArrayLike,
        stamp: float,
        labels: Sequence[str] | None = None,
        warp: Warp | None = None,
    ) -> list[int]:
        """Take the boxes of one image and tell who they are.

        Args:
            boxes: N x 4: x, y, width, height [pixel], positive sizes. The more certain ones first: they get a place
                when there are more boxes than tracks.
            stamp: of the image [s]; an earlier one than before (a replay that starts again) forgets all tracks.
            labels: N class names; boxes of different classes are never matched. None: all of one class.
            warp: how pixels moved since the previous image because the camera turned; None: the camera stood still.

        Returns:
            One identity per box, in the order of the boxes; 0 for those beyond max_tracks.

        Raises:
            ValueError: boxes that are not finite or have no size, or another number of labels.
        """
        measured = _centred(boxes)
        names = [""] * len(measured) if labels is None else list(labels)
        if len(names) != len(measured):
            raise ValueError(f"{len(names)} labels for {len(measured)} boxes")
        if self._stamp is not None and stamp < self._stamp:
            self.reset()
        elapsed = 0.0 if self._stamp is None else stamp - self._stamp
        self._stamp = stamp
        self._predict(elapsed, stamp, warp)
        identities = [0] * len(measured)
        for track, index in self._match(measured, names):
            _correct(track, measured[index], stamp, elapsed)
            identities[index] = track.identity
        for index, identity in enumerate(identities):
            if identity == 0:
                identities[index] = self._start(measured[index], names[index], stamp)
        return identities

    def _predict(self, elapsed: float, stamp: float, warp: Warp | None) -> None:
        alive = []
        for track in self._tracks:
            if stamp - track.seen > self._coast_s:
                continue
            if warp is not None:
                track.state[:2] = warp(float(track.state[0]), float(track.state[1]))
            track.state[:2] += track.velocity[:2] * elapsed
            track.state[2:] = np.maximum(1.0, track.state[2:] + track.velocity[2:] * elapsed)
            if np.isfinite(track.state).all():
                alive.append(track)
        self._tracks = alive

    def _match(self, measured: FloatArray, labels: Sequence[str]) -> list[tuple[_Track, int]]:
        """Pairs of track and box, the likeliest first, each at most once."""
        candidates = []
        for position, track in enumerate(self._tracks):
            for index, box in enumerate(measured):
                if labels[index] == track.label:
                    value = affinity(track.state, box)
                    if value > 0.0:
                        candidates.append((-value, position, index))
        pairs: list[tuple[_Track, int]] = []
        taken_tracks: set[int] = set()
        taken_boxes: set[int] = set()
        for _, position, index in sorted(candidates):
            if position not in taken_tracks and index not in taken_boxes:
                taken_tracks.add(position)
                taken_boxes.add(index)
                pairs.append((self._tracks[position], index))
        return pairs

    def _start(self, box: FloatArray, label: str, stamp: float) -> int:
        if len(self._tracks) >= self._max_tracks:
            oldest = min(self._tracks, key=lambda track: track.seen)
            if oldest.seen >= stamp:
                return 0
            self._tracks.remove(oldest)
        track = _Track(self._next, label, box.copy(), np.zeros(4), stamp)
        self._next += 1
        self._tracks.append(track)
        return track.identity


def affinity(first: FloatArray, second: FloatArray) -> float:
    """How likely two boxes (centre x, centre y, width, height) are the same thing: 0 (they are not) to 2 (identical).

    The sum of intersection over union and of 1 - centre distance / (GATE * mean side), the latter not below 0.
    """
    sides = math.sqrt(first[2] * first[3]), math.sqrt(second[2] * second[3])
    if max(sides) > MAX_SIZE_RATIO * min(sides):
        return 0.0
    low = np.maximum(first[:2] - first[2:] / 2.0, second[:2] - second[2:] / 2.0)
    high = np.minimum(first[:2] + first[2:] / 2.0, second[:2] + second[2:] / 2.0)
    width, height = np.maximum(0.0, high - low)
    shared = float(width * height)
    union = float(first[2] * first[3] + second[2] * second[3]) - shared
    away = float(np.linalg.norm(first[:2] - second[:2])) / (GATE * sum(sides) / 2.0)
    return shared / union + max(0.0, 1.0 - away)


def _correct(track: _Track, box: FloatArray, stamp: float, elapsed: float) -> None:
    innovation = box - track.state
    track.state = track.state + ALPHA * innovation
    if elapsed > 1e-6:
        track.velocity = track.velocity + BETA * innovation / elapsed
    track.seen = stamp


def _centred(boxes: ArrayLike) -> FloatArray:
    """N x 4 of centre x, centre y, width, height from x, y, width, height."""
    given = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    if not np.isfinite(given).all() or (given[:, 2:] <= 0.0).any():
        raise ValueError("boxes must be finite with a width and a height above 0")
    centred = given.copy()
    centred[:, :2] += given[:, 2:] / 2.0
    return centred
