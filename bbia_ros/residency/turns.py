"""First come, first served."""

from __future__ import annotations

import threading
import time
from collections import deque

from bbia_ros.residency.call import Call
from bbia_ros.residency.errors import CallTimeout, WorkerDied


class TurnLost(WorkerDied):
    """The worker ended before the call's turn came: the call never began."""


class Turns:
    """Whose turn it is to talk to a worker. Fair, and cheap when nobody else waits (a plain lock is not fair)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._over = ""
        self.taken = False

    def take(self, call: Call, deadline: float, timeout_s: float) -> None:
        """Wait for the turn.

        Raises:
            CallTimeout: It did not come until the deadline [s, monotonic].
            TurnLost: There will be no more turns.
            ResidencyError: The call was cancelled.
        """
        with self._lock:
            if self._over:
                raise TurnLost(f"{call.label}: {self._over}")
            if not self.taken:
                self.taken = True
                return
            turn = threading.Event()
            self._waiting.append(turn)
        try:
            granted = call.wait(turn, min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX))
            if self._over:
                raise TurnLost(f"{call.label}: {self._over}")
            if not granted:
                raise CallTimeout(f"{call.label} did not get its turn within {timeout_s:g} s")
        except BaseException:
            with self._lock:
                waiting = turn in self._waiting
                if waiting:
                    self._waiting.remove(turn)
            if not waiting:
                # Granted in the same moment: pass it on.
                self.give()
            raise

    def give(self) -> None:
        """The turn is over: the next one may."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self.taken = False

    def end(self, reason: str) -> None:
        """No more turns: everybody who waits hears why; who has the turn still gives it back."""
        with self._lock:
            self._over = self._over or reason
            waiting = list(self._waiting)
        for turn in waiting:
            turn.set()
