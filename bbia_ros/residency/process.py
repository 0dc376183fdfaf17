"""The parent's end of one worker process: its start, its memory, its death and its end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
from typing import Any

from bbia_ros.residency import accounting, wire
from bbia_ros.residency.call import Call
from bbia_ros.residency.child import Child
from bbia_ros.residency.errors import ProcessGone, WorkerDied
from bbia_ros.residency.exchange import Exchange
from bbia_ros.residency.process_stream import ProcessStream
from bbia_ros.residency.spawner import SPAWNER, Spawned

_TERM_GRACE_S = 0.1


class WorkerProcess:
    """Handle of one worker process; thread-safe.

    Owns the process and its pidfd, and the exchange with it. Does not know about leases, states or budgets.

    Attributes:
        pid: Of the process.
        blameless: When dead: it was killed for a cancel or for the budget, which is no failure of the model.
    """

    inline = False

    def __init__(self, spawned: Spawned) -> None:
        self.pid = spawned.process.pid
        self.blameless = False
        self._lock = threading.Lock()
        child: Child | None = None
        try:
            self._child = child = Child(spawned.process)
            self._exchange = Exchange(spawned.calls, spawned.control, self)
        except OSError:
            # Out of descriptors. Without its sockets the worker ends by itself.
            spawned.calls.close()
            spawned.control.close()
            spawned.process.wait()
            if child is not None:
                child.close()
            raise
        self._gauge = accounting.PrivateGauge(self.pid)
        self._death = ""
        self._held = 0
        self._ending = False

    @classmethod
    def start(cls, nice: int = 19, threads: int = 0) -> WorkerProcess:
        """Spawn a worker; raises OSError."""
        return cls(SPAWNER.spawn(nice, threads))

    @property
    def death_fd(self) -> int:
        """The pidfd: readable when the process has ended; -1 when it is closed."""
        return self._child.pidfd

    @property
    def dead(self) -> bool:
        """Whether the process was found dead, or was ended."""
        return bool(self._death)

    def load(
        self,
        call: Call,
        model: str,
        engine: str,
        arguments: Mapping[str, Any],
        timeout_s: float,
        watch: Callable[[], None] | None = None,
    ) -> tuple[int, int]:
        """Build an engine in the worker.

        Args:
            call: For messages and cancels.
            model: Its name.
            engine: ``package.module:Class``.
            arguments: Of the class.
            timeout_s: Longest time [s].
            watch: Called every 0.05 s meanwhile; the worker is killed if it raises. Its time does not count.

        Returns:
            Private bytes that it added, and the most it took while loading.

        Raises:
            EngineError: Its constructor raised.
            CallTimeout: It took too long and the worker was killed.
            WorkerDied: The worker died of it.
            NotPicklable: Its arguments cannot be sent.
            ResidencyError: What `watch` raised.
        """
        held, peak = self._exchange.request(wire.LOAD, call, (model, engine, dict(arguments)), timeout_s, watch)
        return int(held), int(peak)

    def unload(self, model: str, timeout_s: float = 30.0) -> tuple[int, int]:
        """Drop one of several engines; returns the worker's private bytes before and after."""
        before, after = self._exchange.request(wire.UNLOAD, Call(f"{model}.unload"), (model,), timeout_s)
        return int(before), int(after)

    def call(
        self, call: Call, model: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float
    ) -> Any:
        """Run a method of an engine and return its result.

        Raises:
            EngineError: The method raised; the worker lives on.
            CallTimeout: Not done in time; if it had begun, the worker was given 0.3 s and then killed.
            WorkerDied: The process ended.
            NotPicklable: Arguments that cannot be sent.
        """
        return self._exchange.request(wire.CALL, call, (model, method, args, kwargs), timeout_s)

    def stream(
        self, call: Call, model: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float
    ) -> ProcessStream:
        """Start a generator method; the worker belongs to the stream until it has ended."""
        return self._exchange.stream(call, (model, method, args, kwargs), timeout_s)

    # --- memory ------------------------------------------------------------------------------------------

    def private_over(self, limit: int, exact: bool = False) -> int:
        """Private bytes if they are more than the limit, else 0; 20 us. For one thread at a time.

        Args:
            limit: Bytes.
            exact: Whether others who shared memory with it may have ended; milliseconds.
        """
        return self._gauge.over(limit, exact)

    def pause(self) -> None:
        """Stop the process where it is (SIGSTOP); the kernel still kills it with its parent."""
        self._child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._child.signal(signal.SIGCONT)

    # --- death and end -----------------------------------------------------------------------------------

    def begin_end(self) -> None:
        """Ask the worker to close its engines and exit, cancelling what runs. Does not block."""
        with self._lock:
            if self._ending or self._exchange.closed:
                return
            self._ending = True
        self._held = _private(self.pid)
        self._exchange.cancel_current()
        self._exchange.send_no_more()

    def finish_end(self, deadline: float) -> tuple[int, int]:
        """Wait for the exit until `deadline` (monotonic), then terminate, then kill; reap and close everything.

        Returns:
            Private bytes just before `begin_end`, and how many of them are back.
        """
        if not self._child.wait(deadline):
            self._child.signal(signal.SIGTERM)
        self._reap(f"the worker (pid {self.pid}) was ended")
        self._exchange.close()
        return self._held, self._held - _private(self.pid)

    def kill(self, reason: str, blame: bool = True) -> None:
        """SIGKILL the worker; every call on it ends with WorkerDied at once.

        Args:
            reason: One sentence for those calls.
            blame: Whether the model is at fault (counts as a failure).
        """
        with self._lock:
            if not self._death:
                self._death = reason
                self.blameless = not blame
        self._child.signal(signal.SIGKILL)
        self._reap("")

    def bury(self) -> WorkerDied:
        """Reap a worker that died by itself, release its descriptors and tell why it died."""
        self._reap("")
        self._exchange.close()
        return WorkerDied(self._death)

    def gone(self, call: Call) -> WorkerDied:
        """The error of a call that found the worker dead."""
        return WorkerDied(f"{call.label}: {self._death or 'the worker has ended'}")

    def died(self, call: Call) -> WorkerDied:
        """It does not answer any more: reap it, and tell the call why."""
        self._reap("")
        return self.gone(call)

    def _reap(self, reason: str) -> None:
        """Note the death once, wake everybody who waits for a turn, collect the exit status."""
        how = self._child.reap(_TERM_GRACE_S)
        with self._lock:
            self._death = self._death or reason or f"the worker (pid {self.pid}) {how}"
        self._exchange.end(self._death)

    def let_go(self) -> None:
        """Nobody talks to it any more: close the pidfd."""
        self._child.close()


def _private(pid: int) -> int:
    try:
        return accounting.uss_bytes(pid)
    except ProcessGone:
        return 0
