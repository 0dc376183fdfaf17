"""Who goes when room is needed. Pure decisions, no processes.

Plain LRU lets go what was not used for longest. The default weighs what it costs to miss a model against the bytes
that it frees: a model that was not used for t seconds is taken to be needed in the next second with probability
1/t (the rate at which a memory of one last use suggests the next), and then costs its reload time, so

    cost = reload seconds / max(seconds since its last use, 1)

is what letting it go costs per second to come. Of all sets of idle models that free enough, the one with the least
sum of costs goes. That never takes a model along whose bytes are not needed, prefers what reloads quickly and what
rests for long, and takes one large model instead of several small ones where they would be missed more.
(GreedyDual-Size, P. Cao and S. Irani 1997, has the same weights; it replaces the clock by an inflation value because
web caches cannot search sets. A robot has a handful of models, so we can.) What nobody waits for costs a tenth.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Protocol

_SEARCHED = 12
"""Up to so many candidates all sets are compared (4096, some milliseconds); beyond, a greedy choice is thinned out."""
_QUICKEST_S = 0.05
"""No reload is taken to be quicker: starting a worker costs that much."""
_RECENT_S = 1.0
_UNATTENDED = 0.1
"""What a second costs that nobody waits for."""


class Candidate(Protocol):
    """What the choice looks at: an idle model.

    Attributes:
        name: The model.
        size: Bytes that it frees.
        last_used: End of its last use [s, monotonic].
        reload_s: Measured duration of its load [s]; 0: not known.
        background: Nobody waits for its answers.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def last_used(self) -> float: ...  # noqa: D102
    @property
    def reload_s(self) -> float: ...  # noqa: D102
    @property
    def background(self) -> bool: ...  # noqa: D102


def cost(candidate: Candidate, now: float) -> float:
    """Expected seconds of waiting per second to come if this model goes."""
    seconds = max(candidate.reload_s, _QUICKEST_S) * (_UNATTENDED if candidate.background else 1.0)
    return seconds / max(now - candidate.last_used, _RECENT_S)


def victims(candidates: Sequence[Candidate], missing: int, eviction: str, now: float) -> list[str] | None:
    """Models to unload so that `missing` bytes are free.

    Args:
        candidates: Idle models.
        missing: Bytes.
        eviction: "weighted" or "lru".
        now: [s, monotonic].

    Returns:
        Their names, in the order in which they go; None if all of them are not enough.
    """
    if missing <= 0:
        return []
    if sum(one.size for one in candidates) < missing:
        return None
    if eviction == "lru":
        chosen = _until_enough(sorted(candidates, key=lambda one: one.last_used), missing)
    elif len(candidates) <= _SEARCHED:
        chosen = min(_sufficient(candidates, missing), key=lambda some: _rank(some, now))
    else:
        by_price = sorted(candidates, key=lambda one: (cost(one, now) / max(one.size, 1), one.name))
        chosen = _thinned(_until_enough(by_price, missing), missing, now)
    return [one.name for one in sorted(chosen, key=lambda one: one.last_used)]


def _until_enough(ordered: Iterable[Candidate], missing: int) -> list[Candidate]:
    chosen = []
    for candidate in ordered:
        if missing <= 0:
            break
        chosen.append(candidate)
        missing -= candidate.size
    return chosen


def _sufficient(candidates: Sequence[Candidate], missing: int) -> Iterable[list[Candidate]]:
    for count in range(1, len(candidates) + 1):
        for some in itertools.combinations(candidates, count):
            if sum(one.size for one in some) >= missing:
                yield list(some)


def _rank(some: Sequence[Candidate], now: float) -> tuple[float, int, list[str]]:
    """Least cost first; of equal ones least bytes, then by name so that the choice can be told beforehand."""
    return math.fsum(cost(one, now) for one in some), sum(one.size for one in some), sorted(one.name for one in some)


def _thinned(chosen: list[Candidate], missing: int, now: float) -> list[Candidate]:
    """Without those whose bytes are not needed, the most missed first."""
    spare = sum(one.size for one in chosen) - missing
    for candidate in sorted(chosen, key=lambda one: (-cost(one, now), one.name)):
        if candidate.size <= spare:
            chosen.remove(candidate)
            spare -= candidate.size
    return chosen
