"""What the robot perceives at the moment, as far as a conversation needs it."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

FRESH_S = 2.0
"""Results older than this say nothing about now [s]."""

STEADY_FRAMES = 5
"""Newest images that are compared, so that one that missed something does not change the answer."""

REMEMBERED_S = 30.0
"""How long a thing that is out of sight may still be told of [s]."""

ASIDE_RAD = math.radians(12.0)
"""Bearings beyond this are left or right, not ahead."""


@dataclass(frozen=True)
class Thing:
    """A detected object.

    Attributes:
        label: The detector's class.
        azimuth: [rad] of its bearing in the head frame, positive to the left; NaN if unknown.
    """

    label: str
    azimuth: float = math.nan

    @property
    def side(self) -> str:
        """On which side it is: "left", "right", "ahead", or "" if unknown."""
        if math.isnan(self.azimuth):
            return ""
        return "ahead" if abs(self.azimuth) <= ASIDE_RAD else "left" if self.azimuth > 0.0 else "right"


@dataclass(frozen=True)
class View:
    """What can truthfully be said about the surroundings.

    Attributes:
        watching: Images are being looked at for objects.
        things: Seen now.
        lately: Labels out of sight now, seen in the last half minute.
        watching_people: Images are being looked at for faces.
        people: Faces seen now.
    """

    watching: bool = False
    things: tuple[Thing, ...] = ()
    lately: tuple[str, ...] = ()
    watching_people: bool = False
    people: int = 0

    def counts(self) -> dict[str, int]:
        """How many of each label are seen now, in the order of first sight."""
        return dict(Counter(thing.label for thing in self.things))

    def knows(self, label: str) -> bool:
        """Whether the label is in sight or was lately."""
        return label in self.lately or any(thing.label == label for thing in self.things)


class Scene:
    """Keeps the newest detections and face counts; times are of a monotonic clock [s].

    Owns: the last few results, bounded. One thread writes, any may read a `view`.
    """

    def __init__(self) -> None:
        self._frames: deque[tuple[float, tuple[Thing, ...]]] = deque(maxlen=STEADY_FRAMES)
        self._last_seen: dict[str, float] = {}
        self._faces: tuple[float, int] | None = None

    def see_things(self, things: Sequence[Thing], now: float) -> None:
        """Takes the detections of one image, possibly none."""
        self._frames.append((now, tuple(things)))
        seen = {label: when for label, when in self._last_seen.items() if now - when <= REMEMBERED_S}
        seen.update((thing.label, now) for thing in things)
        self._last_seen = seen

    def see_faces(self, count: int, now: float) -> None:
        """Takes the number of faces in one image."""
        self._faces = (now, count)

    def clear(self) -> None:
        """Forgets everything."""
        self._frames.clear()
        self._last_seen = {}
        self._faces = None

    def view(self, now: float) -> View:
        """What can be said at this moment."""
        frames = [things for when, things in list(self._frames) if now - when <= FRESH_S]
        things = _steady(frames)
        in_sight = {thing.label for thing in things}
        lately = [
            label
            for label, when in sorted(self._last_seen.items(), key=lambda item: -item[1])
            if label not in in_sight and now - when <= REMEMBERED_S
        ]
        faces = self._faces
        watching_people = faces is not None and now - faces[0] <= FRESH_S
        people = faces[1] if faces is not None and watching_people else 0
        return View(bool(frames), things, tuple(lately), watching_people, people)


def _steady(frames: Sequence[Sequence[Thing]]) -> tuple[Thing, ...]:
    """Things seen in at least half of the frames, each label as often as in the median frame that has it."""
    steady: list[Thing] = []
    labels = list(dict.fromkeys(thing.label for things in reversed(frames) for thing in things))
    for label in labels:
        having = [[thing for thing in things if thing.label == label] for things in frames]
        having = [things for things in having if things]
        if 2 * len(having) >= len(frames):
            counts = sorted(len(things) for things in having)
            count = counts[(len(counts) - 1) // 2]
            newest = having[-1]
            fullest = next(things for things in reversed(having) if len(things) >= count)
            steady.extend((newest if len(newest) >= count else fullest)[:count])
    return tuple(steady)
