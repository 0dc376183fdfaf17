"""The items of a generator that runs in a worker process."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from bbia_ros.residency import wire
from bbia_ros.residency.call import Call
from bbia_ros.residency.errors import EngineError, NoSharedMemory, ResidencyError

if TYPE_CHECKING:
    from bbia_ros.residency.exchange import Exchange


class ProcessStream:
    """The items of one generator call, read by one thread at a time. Owns the worker's turn until it has ended.

    Attributes:
        reading: Whether a thread waits for an item now; guarded by the exchange's lock.
    """

    def __init__(self, exchange: Exchange, call: Call, id_: int) -> None:
        self._exchange = exchange
        self._call = call
        self._id = id_
        self._open = True
        self.reading = False
        self._await_reader()

    def read(self, timeout_s: float) -> Any:
        """Wait for the next item.

        Raises:
            StopIteration: No more items; the turn was given back.
            EngineError: The generator raised, or (the stream goes on then) an item cannot be rebuilt here.
            ResidencyError: As in `WorkerProcess.call`.
        """
        if not self._claim():
            self._call.check()
            raise self._exchange.gone(self._call) if self._open else StopIteration
        ended = True
        try:
            message = self._exchange.next_message(self._call, self._id, time.monotonic() + timeout_s, timeout_s)
            if message.kind == wire.DONE:
                raise StopIteration
            ended = message.kind != wire.ITEM
            return unpack(self._call, message)
        finally:
            self._release(ended)

    def _claim(self) -> bool:
        with self._exchange.lock:
            if self.reading and self._call.cancelled is None:
                raise RuntimeError(f"the stream of {self._call.label} is read by two threads at a time")
            if not self._open or self.reading or self._exchange.closed:
                return False
            self.reading = True
            return True

    def _release(self, ended: bool) -> None:
        if ended:
            self._open = False
            self._exchange.give_turn()
            if self._call.on_end is not None:
                self._call.on_end()
            return
        self.reading = False
        self._exchange.close_unused()
        self._await_reader()

    def _await_reader(self) -> None:
        """Between two reads nobody would notice a cancel: then a thread of its own sees the worker stop."""
        self._call.waker = self._drain
        if self._call.cancelled is not None:
            self._drain()

    def _drain(self) -> None:
        if self._claim():
            threading.Thread(target=self._read_to_the_end, name="bbia-drain", daemon=True).start()
        elif self._open and not self.reading:
            # The worker is gone and closed: nothing is left to wait for.
            self._release(True)

    def _read_to_the_end(self) -> None:
        try:
            # The cancel makes next_message skip all items and end, or kill the worker.
            self._exchange.next_message(self._call, self._id, time.monotonic(), 0.0)
        except ResidencyError:
            # That it ends is what we wanted.
            pass
        finally:
            self._release(True)


def unpack(call: Call, message: wire.Message) -> Any:
    """Rebuild what a message carries, or raise the engine's error."""
    try:
        body = message.body()
    except Exception as error:  # the classes of the result run their own code, or are missing here
        kind = type(error).__name__
        raise EngineError(f"the result of {call.label} cannot be rebuilt here: {error}", kind) from error
    if message.kind == wire.ERROR:
        kind, text, trace = body
        if kind == NoSharedMemory.__name__:
            raise NoSharedMemory(f"the result of {call.label}: {text}")
        raise EngineError(text or kind, kind, trace)
    return body
