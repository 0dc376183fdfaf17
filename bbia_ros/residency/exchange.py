"""One request at a time over the sockets of a worker: turns, timeouts, cancels."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from bbia_ros.residency import wire
from bbia_ros.residency.call import Call
from bbia_ros.residency.errors import CallTimeout, NoSharedMemory, NotPicklable, ResidencyError, WorkerDied
from bbia_ros.residency.process_stream import ProcessStream, unpack
from bbia_ros.residency.turns import Turns

CANCEL_GRACE_S = 0.3
"""A cancelled call that has not ended by then ends with its worker."""
_WATCH_S = 0.05
"""How often a load is looked after."""
_LONGEST_POLL_MS = 3_600_000


class Peer(Protocol):
    """The process at the other end."""

    pid: int

    def kill(self, reason: str, blame: bool = ...) -> None:
        """End it at once."""

    def died(self, call: Call) -> WorkerDied:
        """It does not answer any more: see that it has ended, and tell the call why."""

    def gone(self, call: Call) -> WorkerDied:
        """The error of a call that found it dead."""

    def let_go(self) -> None:
        """Nobody talks to it any more."""


class Exchange:
    """Requests to one worker, and their answers; thread-safe.

    Owns the sockets. The thread that makes a call sends the request and reads the answer itself; calls take turns,
    first come first served.

    Attributes:
        lock: Guards the descriptors and the stream's `reading`.
        closed: Whether the descriptors are closed.
    """

    def __init__(self, calls: socket.socket, control: socket.socket, peer: Peer) -> None:
        self.lock = threading.Lock()
        self.closed = False
        self._peer = peer
        self._interrupt = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._connection = wire.Connection(calls)
        self._control = control
        self._control.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._connection.fileno(), select.POLLIN)
        self._poll.register(self._interrupt, select.POLLIN)
        self._turns = Turns()
        self._stream: ProcessStream | None = None
        self._id = 0
        self._close_wanted = False

    def request(
        self,
        kind: int,
        call: Call,
        body: tuple[Any, ...],
        timeout_s: float,
        watch: Callable[[], None] | None = None,
    ) -> Any:
        """Send a request, wait for its answer and return what it carries; see `WorkerProcess.call`."""
        segments = _pack(call, body)
        deadline = time.monotonic() + timeout_s
        self._take_turn(call, deadline, timeout_s)
        try:
            id_ = self._send(kind, call, segments)
            return unpack(call, self.next_message(call, id_, deadline, timeout_s, watch))
        finally:
            self.give_turn()

    def stream(self, call: Call, body: tuple[Any, ...], timeout_s: float) -> ProcessStream:
        """Start a generator method; the worker belongs to the stream until it has ended."""
        segments = _pack(call, body)
        self._take_turn(call, time.monotonic() + timeout_s, timeout_s)
        try:
            id_ = self._send(wire.STREAM, call, segments)
        except BaseException:
            self.give_turn()
            raise
        self._stream = ProcessStream(self, call, id_)
        return self._stream

    def _send(self, kind: int, call: Call, segments: list[Any]) -> int:
        self._id = id_ = (self._id + 1) & 0xFFFFFFFF or 1
        call.check()
        try:
            self._connection.send_packed(kind, id_, segments)
        except OSError:
            raise self._peer.died(call) from None
        except NoSharedMemory as error:
            raise NoSharedMemory(f"{call.label}: {error}") from error.__cause__
        return id_

    def next_message(
        self, call: Call, id_: int, deadline: float, timeout_s: float, watch: Callable[[], None] | None = None
    ) -> wire.Message:
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
                until = deadline if watch is None else min(deadline, time.monotonic() + _WATCH_S)
                if not self._connection.buffered and not self._readable(until):
                    if watch is not None and overdue is None:
                        deadline += self._let_watch(watch)
                    if overdue is not None and time.monotonic() >= deadline:
                        timed_out = isinstance(overdue, CallTimeout)
                        why = str(overdue) if timed_out else f"{call.label} did not end when cancelled"
                        self._peer.kill(f"the worker (pid {self._peer.pid}) was killed: {why}", blame=timed_out)
                        raise overdue
                    continue
                try:
                    message = self._connection.receive()
                except OSError:
                    message = None
                if message is None:
                    raise overdue or self._peer.died(call)
                if message.id != id_:
                    continue
                if overdue is None:
                    return message
                if message.kind != wire.ITEM:
                    raise overdue
        except wire.WireError as error:
            self._peer.kill(str(error))
            raise
        except KeyboardInterrupt:
            # The request goes on without us: stop it, its answer will be skipped.
            self._send_cancel(id_)
            self._connection.forget_slab()
            raise
        finally:
            call.waker = None

    def _let_watch(self, watch: Callable[[], None]) -> float:
        """Call it; returns how long it took [s]."""
        began = time.monotonic()
        try:
            watch()
        except ResidencyError as error:
            self._peer.kill(str(error), blame=False)
            raise
        return time.monotonic() - began

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

    def gone(self, call: Call) -> WorkerDied:
        """The error of a call that found the worker dead."""
        return self._peer.gone(call)

    def cancel_current(self) -> None:
        """Cancel what runs. Does not block."""
        self._send_cancel(self._id)

    def send_no_more(self) -> None:
        """The worker finds the end of the stream when its current call is done. What it still answers can be read."""
        self._connection.shutdown(socket.SHUT_WR)

    def end(self, reason: str) -> None:
        """Wake everybody who waits for a turn: there are no more."""
        self._turns.end(reason)

    def close(self) -> None:
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
        self._peer.let_go()


def _pack(call: Call, body: tuple[Any, ...]) -> list[Any]:
    try:
        return wire.pack(body)
    except NotPicklable as error:
        raise NotPicklable(f"an argument of {call.label} {error}") from error.__cause__
