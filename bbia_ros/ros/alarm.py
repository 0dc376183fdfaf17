"""Run something a little later: one timer for any number of appointments."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from typing import Any

SHORTEST_S = 1e-4
"""A timer needs a period above zero [s]."""


class Alarm:
    """Runs functions once in the executor's thread.

    Owns one timer, which is set to the next appointment and stands still without any. A timer per appointment that
    destroys itself when it fires may fire again with EventsExecutor.
    """

    def __init__(self, make_timer: Callable[[float, Callable[[], None]], Any]) -> None:
        """Makes the timer: `make_timer(period_s, callback)` gives an rclpy timer on the steady clock."""
        self._order = itertools.count()
        self._appointments: list[tuple[float, int, Callable[[], None]]] = []
        self._timer = make_timer(1000.0, self._ring)
        self._timer.cancel()

    def set(self, delay_s: float, function: Callable[[], None]) -> None:
        """Runs `function` after `delay_s`; to be called in the executor's thread."""
        number = next(self._order)
        heapq.heappush(self._appointments, (time.monotonic() + delay_s, number, function))
        if self._appointments[0][1] == number:
            self._wind()

    def _ring(self) -> None:
        self._timer.cancel()
        try:
            while self._appointments and self._appointments[0][0] <= time.monotonic():
                heapq.heappop(self._appointments)[2]()
        finally:
            self._wind()

    def _wind(self) -> None:
        if self._appointments:
            wait_s = max(SHORTEST_S, self._appointments[0][0] - time.monotonic())
            self._timer.timer_period_ns = int(wait_s * 1e9)
            self._timer.reset()
