"""The pool's one background thread: idle timers, deaths, stale streams, notices of change."""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable
from typing import NamedTuple

_log = logging.getLogger(__name__)


class Watch(NamedTuple):
    """What to wait for until the next step.

    Attributes:
        fds: Descriptors whose readability means a death.
        delay_s: Longest wait [s]; None: no timer is pending.
    """

    fds: list[int]
    delay_s: float | None


class Supervisor:
    """Runs `step` whenever something may have happened. Owns a thread that exists only while there is work.

    Args:
        step: Does what is due and returns what to wait for; None when there is nothing to wait for.
    """

    def __init__(self, step: Callable[[], Watch | None]) -> None:
        self._step = step
        self._lock = threading.Lock()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread: threading.Thread | None = None
        self._again = False
        self._closed = False

    def wake(self) -> None:
        """Have a step made soon, starting the thread if there is none. Does not block."""
        with self._lock:
            if self._closed:
                return
            self._again = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="bbia-pool", daemon=True)
                self._thread.start()
            else:
                self.nudge()

    def nudge(self) -> None:
        """Have a step made soon if the thread runs. Takes no lock: for finalizers."""
        try:
            os.eventfd_write(self._wake, 1)
        except (OSError, ValueError):
            # Closed: nothing is left to supervise.
            pass

    def close(self) -> None:
        """End the thread and wait for it (unless it is the caller)."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            thread = self._thread
            self.nudge()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        os.close(self._wake)
        self._wake = -1

    def _run(self) -> None:
        while True:
            with self._lock:
                self._again = False
                if self._closed:
                    return
            try:
                watch = self._step()
            except Exception:
                # The timers are tried again; what they look at is unchanged.
                _log.exception("supervision of the model pool failed, trying again in 1 s")
                watch = Watch([], 1.0)
            if watch is None:
                with self._lock:
                    if self._again:
                        continue
                    self._thread = None
                    return
            poll = select.poll()
            poll.register(self._wake, select.POLLIN)
            for fd in watch.fds:
                poll.register(fd, select.POLLIN)
            poll.poll(None if watch.delay_s is None else min(watch.delay_s, 3600.0) * 1000 + 1)
            try:
                os.eventfd_read(self._wake)
            except BlockingIOError:
                pass
