"""A thread that calls a function every 20 ms, against monotonic deadlines: the pace of all sound."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from bbia_ros.driver.audio import TICK_S

LATE_S = 0.5
"""Farther behind than this, the clock skips ahead instead of catching up [s]."""


class AudioClock:
    """Owns the thread.

    Args:
        tick: Called every 20 ms with the steady clock's time that the tick stands for [ns].
        failed: Called once with the exception that ended the clock.
    """

    def __init__(self, tick: Callable[[int], None], failed: Callable[[Exception], None]) -> None:
        self._tick = tick
        self._failed = failed
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self.skips = 0

    def start(self) -> None:
        """Starts ticking. Once only."""
        self._thread = threading.Thread(target=self._run, name="audio-clock", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stops and waits for the tick in progress. More than once is fine."""
        self._end.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(1.0)

    def _run(self) -> None:
        deadline = time.monotonic()
        while not self._end.wait(max(0.0, deadline - time.monotonic())):
            try:
                self._tick(int(deadline * 1e9))
            except Exception as error:
                self._failed(error)
                return
            deadline += TICK_S
            behind = time.monotonic() - deadline
            if behind > LATE_S:
                deadline += behind
                self.skips += 1
