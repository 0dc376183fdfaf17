"""A thread that ticks at a fixed rate while there is something to do, and sleeps when there is not."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

REAL_TIME_PRIORITY = 20
"""SCHED_FIFO priority: above every ordinary thread, below the kernel's own."""
LATE_PERIODS = 5
"""After a delay of so many periods the schedule starts anew instead of catching up."""


@dataclass(frozen=True)
class Intervals:
    """Between ticks that followed each other without a rest, over the last seconds. All 0 without any.

    Attributes:
        p50: median [s].
        p99: 99th percentile [s].
        longest: [s].
        count: how many.
    """

    p50: float = 0.0
    p99: float = 0.0
    longest: float = 0.0
    count: int = 0


class Loop:
    """Calls `tick` at absolute deadlines in its own thread.

    Owns the thread. With permission (CAP_SYS_NICE, an rtprio limit) it runs under SCHED_FIFO, which threads and
    processes that it might start do not inherit.

    Attributes:
        real_time: whether the real-time class was granted; known once the thread runs.
    """

    def __init__(
        self,
        tick: Callable[[], bool],
        rate_hz: float = 100.0,
        *,
        window_s: float = 10.0,
        real_time: bool = True,
        on_error: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """Makes a loop that does not run yet.

        Args:
            tick: returns whether to go on; False: sleep until `wake`.
            rate_hz: ticks per second.
            window_s: span of the interval statistics.
            real_time: ask for SCHED_FIFO.
            on_error: told of an exception of `tick`; the loop goes on with the next tick.
        """
        self._tick, self._period, self._window = tick, 1.0 / rate_hz, window_s
        self._want_real_time, self._on_error = real_time, on_error
        size = int(2 * window_s * rate_hz)
        self._ends, self._lengths, self._next = np.full(size, -np.inf), np.zeros(size), 0
        self._due = threading.Event()
        self._ending = False
        self._thread: threading.Thread | None = None
        self.real_time = False

    def start(self) -> None:
        """Starts the thread, which sleeps until `wake`."""
        if self._thread is None:
            self._ending = False
            self._thread = threading.Thread(target=self._run, name="motion.loop", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """There may be something to do; callable from any thread, cheap."""
        if not self._due.is_set():
            self._due.set()

    def stop(self, timeout_s: float = 1.0) -> None:
        """Ends the thread and waits for it.

        Raises:
            TimeoutError: it does not end, because `tick` hangs.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._ending = True
        self._due.set()
        thread.join(timeout_s)
        if thread.is_alive():
            raise TimeoutError(f"the motion loop did not end within {timeout_s} s")
        self._due.clear()

    def intervals(self) -> Intervals:
        """Statistics of the last `window_s` seconds."""
        recent = self._lengths[self._ends > time.monotonic() - self._window]
        if not recent.size:
            return Intervals()
        p50, p99 = np.percentile(recent, (50, 99))
        return Intervals(float(p50), float(p99), float(recent.max()), int(recent.size))

    def _run(self) -> None:
        if self._want_real_time:
            self.real_time = _ask_for_real_time()
        while not self._ending:  # asked before each wait: a tick may have cleared what `stop` had set
            self._due.wait()
            self._due.clear()
            self._tick_until_rest()

    def _tick_until_rest(self) -> None:
        deadline = before = time.monotonic()
        going = True
        while not self._ending:
            try:
                going = self._tick()
            except Exception as error:
                self._on_error(error)
            if not going and not self._due.is_set():
                return
            self._due.clear()
            deadline += self._period
            now = time.monotonic()
            if now - deadline > LATE_PERIODS * self._period:
                deadline = now
            elif deadline > now:
                time.sleep(deadline - now)  # clock_nanosleep to an absolute time (Python 3.11)
            now = time.monotonic()
            index = self._next % self._ends.size
            self._ends[index], self._lengths[index] = now, now - before
            self._next += 1
            before = now


def _ask_for_real_time() -> bool:
    """SCHED_FIFO for the calling thread; False where that is not allowed."""
    try:
        policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(REAL_TIME_PRIORITY))
    except (OSError, AttributeError):
        return False
    return True
