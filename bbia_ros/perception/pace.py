"""Thins a stream of images out to a rate."""

from __future__ import annotations

JITTER = 0.25
"""An image may come this part of a period early: a camera's own jitter must not halve a rate equal to its own."""


class Pace:
    """Says which images of a stream are looked at. Not thread-safe."""

    def __init__(self, rate_hz: float) -> None:
        """Start with the next image due.

        Args:
            rate_hz: at most so many images a second are due on average.
        """
        self.rate_hz = rate_hz
        self._due = float("-inf")

    def take(self, now: float) -> bool:
        """Whether an image that arrives now is due; if so, it is taken as looked at.

        Args:
            now: steady clock [s].
        """
        period = 1.0 / self.rate_hz
        if now < self._due - JITTER * period:
            return False
        # A stream slower than the rate earns no credit for bursts.
        self._due = max(self._due, now - JITTER * period) + period
        return True
