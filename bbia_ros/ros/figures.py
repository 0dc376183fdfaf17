"""Rates, latencies and values of a node, summed up for /diagnostics."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

HISTORY = 100
"""Readings kept per rate or duration."""
RATE_WINDOW_S = 5.0
"""Window over which a rate is averaged [s]."""


class Figures:
    """Collects a node's measurements from any thread.

    Owns: bounded histories (100 readings each). Does not own: publishing, see BbiaNode.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._ticks: dict[str, deque[float]] = {}
        self._durations: dict[str, deque[float]] = {}
        self._values: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def tick(self, key: str) -> None:
        """Something that should happen regularly has happened; reported as a rate [Hz]."""
        with self._lock:
            self._ticks.setdefault(key, deque(maxlen=HISTORY)).append(self._clock())

    def duration(self, key: str, seconds: float) -> None:
        """How long something took [s]; reported as median and 95th percentile."""
        with self._lock:
            self._durations.setdefault(key, deque(maxlen=HISTORY)).append(seconds)

    def value(self, key: str, value: object) -> None:
        """A present value."""
        with self._lock:
            self._values[key] = f"{value:.4g}" if isinstance(value, float) else str(value)

    def count(self, key: str, amount: int = 1) -> None:
        """Adds to a counter."""
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + amount

    def rate(self, key: str) -> float:
        """Rate of a tick over the last 5 s [Hz]; 0 when there was none."""
        with self._lock:
            return self._rate(key, self._clock())

    def _rate(self, key: str, now: float) -> float:
        recent = [t for t in self._ticks.get(key, ()) if now - t <= RATE_WINDOW_S]
        if len(recent) < 2:
            return 0.0
        return (len(recent) - 1) / max(now - recent[0], 1e-9)

    def summary(self) -> dict[str, str]:
        """All measurements as texts, keys in alphabetical order."""
        now = self._clock()
        with self._lock:
            lines = dict(self._values)
            lines |= {f"{key} [Hz]": f"{self._rate(key, now):.1f}" for key in self._ticks}
            lines |= {key: str(number) for key, number in self._counts.items()}
            for key, history in self._durations.items():
                ordered = sorted(history)
                lines[f"{key} p50 [ms]"] = f"{1000 * ordered[len(ordered) // 2]:.1f}"
                lines[f"{key} p95 [ms]"] = f"{1000 * ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]:.1f}"
        return dict(sorted(lines.items()))

    def reset(self) -> None:
        """Forgets everything, for a new activation."""
        with self._lock:
            for table in (self._ticks, self._durations, self._values, self._counts):
                table.clear()
