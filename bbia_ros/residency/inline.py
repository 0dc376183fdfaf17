"""Engines in this process, behind the interface of a worker: for tests and debugging.

Same behaviour where a process is not needed for it: a call cannot be interrupted, so cancels and timeouts are
told when the engine's method returns; memory comes back as far as the libraries give it back.
"""

from __future__ import annotations

import gc
import importlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bbia_ros.residency import accounting
from bbia_ros.residency.call import Call
from bbia_ros.residency.errors import CallTimeout, EngineError, WorkerDied


class InlineWorker:
    """Builds and calls engines in the calling threads, one call at a time."""

    blameless = False
    inline = True
    death_fd = -1

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.dead = False
        self._turn = threading.Lock()
        self._engines: dict[str, Any] = {}
        self._held: dict[str, int] = {}
        """What building each of them added [bytes]."""
        self._ending = False
        self._before = 0

    def load(
        self,
        call: Call,
        model: str,
        engine: str,
        arguments: Mapping[str, Any],
        timeout_s: float,
        watch: Callable[[], None] | None = None,
    ) -> tuple[int, int]:
        """Build an engine here; nobody can watch it meanwhile."""
        before = accounting.uss_bytes("self")
        with self._turn:
            module, _, name = engine.partition(":")
            try:
                self._engines[model] = getattr(importlib.import_module(module), name)(**arguments)
            except Exception as error:
                raise _engine_error(error) from error
        held = self._held[model] = max(accounting.uss_bytes("self") - before, 1)
        return held, held

    def private_over(self, limit: int, exact: bool = False) -> int:
        """Always 0: what is ours and what is an engine's cannot be told apart."""
        return 0

    def pause(self) -> None:
        """Nothing can be stopped here."""

    def resume(self) -> None:
        """Nothing was stopped."""

    def unload(self, model: str, timeout_s: float = 30.0) -> tuple[int, int]:
        """Drop an engine."""
        before = accounting.uss_bytes("self")
        with self._turn:
            self._held.pop(model, None)
            _close(self._engines.pop(model, None))
        gc.collect()
        return before, accounting.uss_bytes("self")

    def call(
        self, call: Call, model: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float
    ) -> Any:
        """Run a method here; a timeout or cancel is told when it has returned."""
        deadline = time.monotonic() + timeout_s
        self._take_turn(call, timeout_s)
        try:
            result = self._method(model, method)(*args, **kwargs)
        except Exception as error:
            call.check()
            raise _engine_error(error) from error
        finally:
            call.waker = None
            self._turn.release()
        call.check()
        if time.monotonic() > deadline:
            raise CallTimeout(f"{call.label} took longer than {timeout_s:g} s")
        return result

    def stream(
        self, call: Call, model: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float
    ) -> InlineStream:
        """Start a generator method here."""
        self._take_turn(call, timeout_s)
        try:
            return InlineStream(self, call, iter(self._method(model, method)(*args, **kwargs)), model)
        except Exception as error:
            self._turn.release()
            raise _engine_error(error) from error

    def begin_end(self) -> None:
        """Note what is held now."""
        self._ending = True
        self._before = accounting.uss_bytes("self")

    def finish_end(self, deadline: float) -> tuple[int, int]:
        """Close and drop the engines, waiting for a running call until the deadline.

        Returns:
            What building them had added, or what came back if that is more; and what came back.
        """
        taken = self._turn.acquire(timeout=max(0.0, deadline - time.monotonic()))
        engines, self._engines = self._engines, {}
        self.dead = True
        try:
            while engines:
                _close(engines.popitem()[1])
        finally:
            if taken:
                self._turn.release()
        gc.collect()
        back = max(0, self._before - accounting.uss_bytes("self"))
        return max(sum(self._held.values()), back), back

    def kill(self, reason: str, blame: bool = True) -> None:
        """Nothing can be killed here: the load or call goes on to its end, and is not waited for."""
        self.blameless = not blame

    def bury(self) -> WorkerDied:
        """Only after `finish_end`."""
        return WorkerDied("the model was unloaded")

    def give_turn(self) -> None:
        """A stream is over."""
        self._turn.release()

    def _take_turn(self, call: Call, timeout_s: float) -> None:
        call.check()
        if not self._turn.acquire(timeout=min(timeout_s, threading.TIMEOUT_MAX)):
            raise CallTimeout(f"{call.label} did not get its turn within {timeout_s:g} s")
        if self._ending or call.cancelled is not None:
            self._turn.release()
            call.check()
            raise WorkerDied(f"{call.label}: the model was unloaded")

    def _method(self, model: str, name: str) -> Any:
        engine = self._engines[model]
        method = None if name.startswith("_") else getattr(engine, name, None)
        if not callable(method):
            raise AttributeError(f"{type(engine).__name__} has no method {name!r} that may be called")
        return method


class InlineStream:
    """Items of a generator of an engine in this process."""

    def __init__(self, worker: InlineWorker, call: Call, items: Iterator[Any], model: str) -> None:
        self._worker = worker
        self._call = call
        self._items = items
        self._lock = threading.Lock()
        self._open = True
        call.waker = self._cancelled

    def read(self, timeout_s: float) -> Any:
        """Next item."""
        with self._lock:
            if not self._open:
                self._call.check()
                raise StopIteration
            began = time.monotonic()
            try:
                self._call.check()
                item = next(self._items)
                self._call.check()
                if time.monotonic() - began > timeout_s:
                    raise CallTimeout(f"{self._call.label} took longer than {timeout_s:g} s")
                return item
            except BaseException as error:
                self._finish()
                if isinstance(error, StopIteration) or error is self._call.cancelled or type(error) is CallTimeout:
                    raise
                raise _engine_error(error) from error

    def _cancelled(self) -> None:
        # While it is being read, the reader sees the cancel itself.
        if self._lock.acquire(blocking=False):
            try:
                if self._open:
                    self._finish()
            finally:
                self._lock.release()

    def _finish(self) -> None:
        self._open = False
        self._call.waker = None
        close = getattr(self._items, "close", None)
        if close is not None:
            close()
        self._worker.give_turn()
        if self._call.on_end is not None:
            self._call.on_end()


def _close(engine: Any) -> None:
    close = getattr(engine, "close", None)
    if callable(close):
        close()


def _engine_error(error: BaseException) -> EngineError:
    return EngineError(str(error) or type(error).__name__, type(error).__name__)
