"""The parent's end of one worker process: calls in order, timeouts, cancels, death, the end."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

from bbia_ros.residency import accounting, wire
from bbia_ros.residency.call import Call
from bbia_ros.residency.child import Child
from bbia_ros.residency.errors import (
    CallTimeout,
    NotPicklable,
    ProcessGone,
    ResidencyError,
    WorkerDied,
)
from bbia_ros.residency.process_stream import ProcessStream, unpack
from bbia_ros.residency.spawner import SPAWNER, Spawned
from bbia_ros.residency.turns import Turns

CANCEL_GRACE_S = 0.3
"""A cancelled call that has not ended by then ends with its worker."""
_TERM_GRACE_S = 0.1
_LONGEST_POLL_MS = 3_600_000


class WorkerProcess:
    """Handle of one worker process; thread-safe.

    Owns the process, its sockets and its pidfd. The thread that makes a call sends the request and reads the
    answer itself; calls take turns, first come first served. Does not know about leases, states or budgets.

    Attributes:
        pid: Of the process.
        blameless: When dead: it was killed for a cancel, which is no failure of the model.
        lock: Guards the descriptors and the stream's `reading`.
        closed: Whether the descriptors are closed.
    """

    def __init__(self, spawned: Spawned) -> None:
        self.pid = spawned.process.pid
        self.blameless = False
        self.lock = threading.Lock()
        self.closed = False
        self._connection = wire.Connection(spawned.calls)
        self._control = spawned.control
        self._control.setblocking(False)
        try:
            self._child = Child(spawned.process)
            self._interrupt = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        except OSError:
            # Out of descriptors. Without its sockets the worker ends by itself.
            self._connection.close()
            self._control.close()
            spawned.process.wait()
            raise
        self._poll = select.poll()
        self._poll.register(self._connection.fileno(), select.POLLIN)
        self._poll.register(self._interrupt, select.POLLIN)
        self._turns = Turns()
        self._stream: ProcessStream | None = None
        self._id = 0
        self._death = ""
        self._held = 0
        self._ending = False
        self._close_wanted = False

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
        self, call: Call, model: str, engine: str, arguments: Mapping[str, Any], timeout_s: float
    ) -> tuple[int, int]:
        """Build an engine in the worker.

        Returns:
            Private bytes that it added, and the most it took while loading.

        Raises:
            EngineError: Its constructor raised.
            CallTimeout: It took too long and the worker was killed.
            WorkerDied: The worker died of it.
            NotPicklable: Its arguments cannot be sent.
        """
        held, peak = self._request(wire.LOAD, call, (model, engine, dict(arguments)), timeout_s)
        return int(held), int(peak)

    def unload(self, model: str, timeout_s: float = 30.0) -> tuple[int, int]:
        """Drop one of several engines; returns the worker's private bytes before and after."""
        before, after = self._request(wire.UNLOAD, Call(f"{model}.unload"), (model,), timeout_s)
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
        return self._request(wire.CALL, call, (model, method, args, kwargs), timeout_s)

    def stream(
        self, call: Call, model: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float
    ) -> ProcessStream:
        """Start a generator method; the worker belongs to the stream until it has ended."""
        segments = _pack(call, (model, method, args, kwargs))
        self._take_turn(call, time.monotonic() + timeout_s, timeout_s)
        try:
            id_ = self._send(wire.STREAM, call, segments)
        except BaseException:
            self.give_turn()
            raise
        self._stream = ProcessStream(self, call, id_)
        return self._stream

    # --- one request -------------------------------------------------------------------------------------

    def _request(self, kind: int, call: Call, body: tuple[Any, ...], timeout_s: float) -> Any:
        segments = _pack(call, body)
        deadline = time.monotonic() + timeout_s
        self._take_turn(call, deadline, timeout_s)
        try:
            id_ = self._send(kind, call, segments)
            return unpack(call, self.next_message(call, id_, deadline, timeout_s))
        finally:
            self.give_turn()

    def _send(self, kind: int, call: Call, segments: list[Any]) -> int:
        self._id = id_ = (self._id + 1) & 0xFFFFFFFF or 1
        call.check()
        try:
            self._connection.send_packed(kind, id_, segments)
        except OSError:
            raise self._died(call) from None
        return id_

    def next_message(self, call: Call, id_: int, deadline: float, timeout_s: float) -> wire.Message:
        """Wait for the next message of this request; for the thread whose turn it is.

        A cancel or an overrun timeout gives the worker 0.3 s to end the request by itself. After that it is
        killed. Either way the request is over when this raises.
        """
        call.waker = self._wake
        overdue: ResidencyError | None = None
        try:
            while True:
                if overdue is None:
                    overdue = call.cancelled
                    if overdue is None and time.monotonic() >= deadline:
                        overdue = CallTimeout(f"{call.label} took longer than {timeout_s:g} s")
                    if overdue is not None:
                        deadline = time.monotonic() + CANCEL_GRACE_S
                        self._send_cancel(id_)
                if not self._connection.buffered and not self._readable(deadline):
                    if overdue is not None and time.monotonic() >= deadline:
                        timed_out = isinstance(overdue, CallTimeout)
                        why = str(overdue) if timed_out else f"{call.label} did not end when cancelled"
                        self.kill(f"the worker (pid {self.pid}) was killed: {why}", blame=timed_out)
                        raise overdue
                    continue
                try:
                    message = self._connection.receive()
                except OSError:
                    message = None
                if message is None:
                    raise overdue or self._died(call)
                if message.id != id_:
                    continue
                if overdue is None:
                    return message
                if message.kind != wire.ITEM:
                    raise overdue
        except wire.WireError as error:
            self.kill(str(error))
            raise
        except KeyboardInterrupt:
            # The request goes on without us: stop it, its answer will be skipped.
            self._send_cancel(id_)
            self._connection.forget_slab()
            raise
        finally:
            call.waker = None

    def _take_turn(self, call: Call, deadline: float, timeout_s: float) -> None:
        try:
            self._turns.take(call, deadline, timeout_s)
        except BaseException:
            # It may have been ours for a moment.
            self.close_unused()
            raise

    def give_turn(self) -> None:
        """Let the next call have the worker; for the thread whose turn it is."""
        self._stream = None
        self._turns.give()
        if self._close_wanted:
            self.close_unused()

    def _readable(self, deadline: float) -> bool:
        """Wait for bytes, an interrupt or the deadline; tells of bytes (and of the end of the stream) only."""
        readable = False
        timeout_ms = min(max(0.0, deadline - time.monotonic()) * 1000 + 1, _LONGEST_POLL_MS)
        for fd, _ in self._poll.poll(timeout_ms):
            if fd == self._interrupt:
                try:
                    os.eventfd_read(self._interrupt)
                except BlockingIOError:
                    # Meant for the call before.
                    pass
            else:
                readable = True
        return readable

    def _wake(self) -> None:
        with self.lock:
            if not self.closed:
                os.eventfd_write(self._interrupt, 1)

    def _send_cancel(self, id_: int) -> None:
        with self.lock:
            if self.closed:
                return
            try:
                self._control.send(wire.CANCEL.pack(id_))
            except OSError:
                # Dead, or not reading for long: the kill that follows settles it.
                pass

    # --- death and end -----------------------------------------------------------------------------------

    def begin_end(self) -> None:
        """Ask the worker to close its engines and exit, cancelling what runs. Does not block."""
        with self.lock:
            if self._ending or self.closed:
                return
            self._ending = True
        self._held = _private(self.pid)
        self._send_cancel(self._id)
        # The worker finds the end of the stream when its current call is done. What it still answers can be read.
        self._connection.shutdown(socket.SHUT_WR)

    def finish_end(self, deadline: float) -> tuple[int, int]:
        """Wait for the exit until `deadline` (monotonic), then terminate, then kill; reap and close everything.

        Returns:
            Private bytes just before `begin_end`, and how many of them are back.
        """
        if not self._child.wait(deadline):
            self._child.signal(signal.SIGTERM)
        self._reap(f"the worker (pid {self.pid}) was ended")
        self._close()
        return self._held, self._held - _private(self.pid)

    def kill(self, reason: str, blame: bool = True) -> None:
        """SIGKILL the worker; every call on it ends with WorkerDied at once.

        Args:
            reason: One sentence for those calls.
            blame: Whether the model is at fault (counts as a failure).
        """
        with self.lock:
            if not self._death:
                self._death = reason
                self.blameless = not blame
        self._child.signal(signal.SIGKILL)
        self._reap("")

    def bury(self) -> WorkerDied:
        """Reap a worker that died by itself, release its descriptors and tell why it died."""
        self._reap("")
        self._close()
        return WorkerDied(self._death)

    def gone(self, call: Call) -> WorkerDied:
        """The error of a call that found the worker dead."""
        return WorkerDied(f"{call.label}: {self._death or 'the worker has ended'}")

    def _died(self, call: Call) -> WorkerDied:
        self._reap("")
        return self.gone(call)

    def _reap(self, reason: str) -> None:
        """Note the death once, wake everybody who waits for a turn, collect the exit status."""
        how = self._child.reap(_TERM_GRACE_S)
        with self.lock:
            self._death = self._death or reason or f"the worker (pid {self.pid}) {how}"
        self._turns.end(self._death)

    def _close(self) -> None:
        """Close the descriptors as soon as no thread uses them any more."""
        self._connection.shutdown()
        self._close_wanted = True
        self.close_unused()

    def close_unused(self) -> None:
        """Close the descriptors, if that is due and no thread uses them."""
        with self.lock:
            stream = self._stream
            in_use = self._turns.taken and (stream is None or stream.reading)
            if self.closed or not self._close_wanted or in_use:
                return
            self.closed = True
            self._connection.close()
            self._control.close()
            os.close(self._interrupt)
        self._child.close()


def _pack(call: Call, body: tuple[Any, ...]) -> list[Any]:
    try:
        return wire.pack(body)
    except NotPicklable as error:
        raise NotPicklable(f"an argument of {call.label} {error}") from error.__cause__


def _private(pid: int) -> int:
    try:
        return accounting.uss_bytes(pid)
    except ProcessGone:
        return 0
