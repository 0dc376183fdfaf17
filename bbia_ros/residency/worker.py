"""The worker process: builds engines, calls their methods, ends with its parent.

Started by `spawner` as ``python -m bbia_ros.residency.worker CALLS CONTROL PARENT NICE`` with two inherited
sockets: requests and replies on one, cancels on the other. Nothing of the pool is imported here.

Three guards against an orphan: the kernel kills the worker when the thread that spawned it ends
(PR_SET_PDEATHSIG), a parent that was gone before is found by its pid, and end of file on the control socket
ends the process at once, whatever the engine is doing.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib
import os
import signal
import socket
import sys
import threading
import time
import traceback
from typing import Any

from bbia_ros.residency import accounting, wire
from bbia_ros.residency.errors import NoSharedMemory, NotPicklable
from bbia_ros.residency.heap import trim

_PR_SET_PDEATHSIG = 1
_OOM_SCORE = 500
_TRIM_S = 2.0
"""How often memory that calls have left free in the heap goes back to the system [s]. Inference allocates and frees
large blocks, between which glibc's heap grows: a detector at 10 Hz from 60 to 160 MB in a minute. A trim takes a
millisecond, after the answer."""
_IDLE_S = 0.5
"""So long without a call, and memory goes back at once: a sentence leaves 70 MB free in the heap of a voice [s]."""


class _ParentGone(OSError):
    """Nobody is left to answer; told apart from an OSError of the engine."""


class Worker:
    """Serves requests one at a time, in order. Owns the engines of this process."""

    def __init__(self, calls: socket.socket, control: socket.socket) -> None:
        self._connection = wire.Connection(calls)
        self._control = control
        self._engines: dict[str, Any] = {}
        self._current = 0
        self._current_engine: Any = None
        self._cancelled = 0

    def run(self) -> None:
        """Serve until told to end or the parent is gone. Never returns."""
        threading.Thread(target=self._watch_control, name="control", daemon=True).start()
        code = 0
        trimmed = time.monotonic()
        try:
            while (message := self._connection.receive()) is not None:
                self._current = message.id
                self._answer(message)
                del message
                self._current_engine = None
                self._current = 0
                if time.monotonic() - trimmed >= _TRIM_S or self._connection.is_quiet(_IDLE_S):
                    trim()
                    trimmed = time.monotonic()
            self._close_engines()
        except OSError:
            # The parent closed the connection while we were answering: nobody wants the answer.
            pass
        except BaseException:
            traceback.print_exc()
            code = 70
        sys.stderr.flush()
        # No interpreter teardown: it takes time, and native libraries crash or print in it.
        os._exit(code)

    def _answer(self, message: wire.Message) -> None:
        id_ = message.id
        try:
            request = message.body()
            if message.kind == wire.STREAM:
                self._stream(id_, *request)
                return
            if message.kind == wire.LOAD:
                result = self._load(*request)
            elif message.kind == wire.UNLOAD:
                result = self._unload(*request)
            else:
                result = self._method(*request[:2])(*request[2], **request[3])
            try:
                segments = wire.pack(result)
            except NotPicklable as error:
                raise NotPicklable(f"the result of {request[1]} {error}{_hint(result)}") from None
            reply = wire.RESULT
        except BaseException as error:  # SystemExit from an engine must not end the worker either
            reply, segments = wire.ERROR, _describe(error)
        try:
            self._connection.send_packed(reply, id_, segments)
        except NoSharedMemory as error:
            del segments
            self._connection.send_packed(wire.ERROR, id_, _describe(error))

    def _stream(self, id_: int, model: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        reply, segments = wire.DONE, wire.pack(None)
        try:
            items = iter(self._method(model, method)(*args, **kwargs))
            while self._cancelled != id_:
                try:
                    item = wire.pack(next(items))
                except StopIteration:
                    break
                except NotPicklable as error:
                    raise NotPicklable(f"an item of {method} {error}") from None
                try:
                    self._connection.send_packed(wire.ITEM, id_, item)
                except OSError:
                    raise _ParentGone from None
            close = getattr(items, "close", None)
            if close is not None:
                close()
        except _ParentGone:
            raise
        except BaseException as error:
            reply, segments = wire.ERROR, _describe(error)
        self._connection.send_packed(reply, id_, segments)

    def _method(self, model: str, name: str) -> Any:
        engine = self._engines[model]
        self._current_engine = engine
        if self._cancelled == self._current:
            # The cancel overtook the request.
            raise InterruptedError("cancelled")
        method = None if name.startswith("_") else getattr(engine, name, None)
        if not callable(method):
            raise AttributeError(f"{type(engine).__name__} has no method {name!r} that may be called")
        return method

    def _load(self, model: str, path: str, arguments: dict[str, Any]) -> tuple[int, int]:
        """Build an engine; returns the private bytes that it added and those it took at the peak."""
        shared = bool(self._engines)
        before = accounting.uss_bytes("self") if shared else 0
        if shared:
            accounting.reset_peak()
        self._engines[model] = _engine_class(path)(**arguments)
        trim()
        now = accounting.memory("self")
        held = max(now.uss - before, 0)
        # The high-water mark is of all that was resident: without what we share with others.
        peak = accounting.peak_bytes("self") - (now.rss - now.uss)
        return held, max(peak - before, held)

    def _unload(self, model: str) -> tuple[int, int]:
        """Close and drop one engine of several; returns our private bytes before and after."""
        before = accounting.uss_bytes("self")
        engine = self._engines.pop(model, None)
        try:
            _close(engine)
        finally:
            del engine
            gc.collect()
            trim()
        return before, accounting.uss_bytes("self")

    def _close_engines(self) -> None:
        for engine in self._engines.values():
            try:
                _close(engine)
            except Exception:
                traceback.print_exc()

    def _watch_control(self) -> None:
        pending = b""
        while True:
            try:
                data = self._control.recv(256)
            except OSError:
                data = b""
            if not data:
                os._exit(0)
            pending += data
            while len(pending) >= wire.CANCEL.size:
                (id_,) = wire.CANCEL.unpack_from(pending)
                pending = pending[wire.CANCEL.size :]
                self._cancelled = id_
                engine = self._current_engine
                if id_ == self._current and engine is not None:
                    _cancel(engine)


def _engine_class(path: str) -> Any:
    """Import an engine; raises ImportError with what is missing, whatever the module raises."""
    module_name, _, class_name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, MemoryError):
        raise
    except BaseException as error:  # a library that is broken raises anything while it is imported
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise ImportError(f"module {module_name} breaks when it is imported ({what}): install it anew") from error
    try:
        return getattr(module, class_name)
    except AttributeError:
        raise ImportError(f"module {module_name} has no engine {class_name}") from None


def _close(engine: Any) -> None:
    close = getattr(engine, "close", None)
    if callable(close):
        close()


def _cancel(engine: Any) -> None:
    cancel = getattr(engine, "cancel", None)
    if callable(cancel):
        try:
            cancel()
        except Exception:
            traceback.print_exc()


def _hint(result: Any) -> str:
    return "; call it with lease.stream" if hasattr(result, "__next__") else ""


def _describe(error: BaseException) -> list[Any]:
    try:
        text = str(error)
    except Exception:
        text = "(its message cannot be shown)"
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__)[-30:])
    return wire.pack((type(error).__name__, text[:4000], trace[-20000:]))


def _settle_in(parent: int, nice: int) -> None:
    """Tie our life to the parent's and stay out of everybody's way."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        print("worker: PR_SET_PDEATHSIG failed, relying on the socket alone", file=sys.stderr)
    if os.getppid() != parent:
        # The parent ended before the guard was set.
        os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for attempt in (_leave_real_time, functools.partial(os.setpriority, os.PRIO_PROCESS, 0, nice), _volunteer_for_oom):
        try:
            attempt()
        except OSError:
            # Not permitted here: the worker runs with what it was given.
            pass
    # What engines and native libraries print must not mix with the parent's standard output.
    os.dup2(2, 1)
    sys.stdout = sys.stderr  # written line by line: nothing is lost when the worker is ended


def _leave_real_time() -> None:
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _volunteer_for_oom() -> None:
    """When memory runs out the kernel should take a model, not the control loop."""
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(_OOM_SCORE))


def main() -> None:
    """Entry point: take over the inherited sockets and serve."""
    calls, control, parent, nice = (int(argument) for argument in sys.argv[1:5])
    _settle_in(parent, nice)
    for fd in (calls, control):
        os.set_inheritable(fd, False)
    Worker(socket.socket(fileno=calls), socket.socket(fileno=control)).run()


if __name__ == "__main__":
    main()
