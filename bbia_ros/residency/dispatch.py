"""Brings calls to the models: counts them as users, loads what is absent, tells who is idle again."""

from __future__ import annotations

import copy
import functools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from bbia_ros.residency.admission import Force
from bbia_ros.residency.call import Call, StreamCall
from bbia_ros.residency.errors import CallCancelled, CallTimeout, EngineError, LeaseReleased, ModelFailed
from bbia_ros.residency.loading import Loader
from bbia_ros.residency.registry import Registry
from bbia_ros.residency.resident import Host, ItemStream, Load, Resident, Worker
from bbia_ros.residency.turns import TurnLost
from bbia_ros.residency.unloading import Unloader

if TYPE_CHECKING:
    from bbia_ros.residency.lease import Lease

_UNREAD_SLACK_S = 1.0


class Dispatcher:
    """The way of a call. Owns the set of open streams."""

    def __init__(self, registry: Registry, loader: Loader, unloader: Unloader) -> None:
        self._registry = registry
        self._loader = loader
        self._unloader = unloader
        self._streams: set[StreamCall] = set()
        self.note_dropped: Callable[[Call], None] = lambda call: None

    def call(self, lease: Lease, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float) -> Any:
        """See `Lease.call`."""
        name = lease.resident.spec.name
        call = Call(f"{name}.{method}")
        while True:
            answered = False
            host, worker = self._begin(lease, call)
            try:
                result = worker.call(call, name, method, args, kwargs, timeout_s)
                answered = True
                return result
            except EngineError:
                answered = True
                raise
            except TurnLost:
                if not worker.blameless:
                    raise
                # Killed because somebody else's call did not stop: ours goes to the next worker.
            finally:
                if worker.dead:
                    # Before the call stops counting: its model is to blame.
                    self._unloader.bury(host)
                self._end(lease, call, answered)

    def open_stream(
        self, lease: Lease, call: StreamCall, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ItemStream:
        """Start a stream at its first item."""
        call.touched = time.monotonic()
        if call.cancels != lease.cancels:
            raise CallCancelled(f"{call.label} was cancelled before it began")
        name = lease.resident.spec.name
        while True:
            host, worker = self._begin(lease, call)
            try:
                call.on_end = functools.partial(self._stream_ended, lease, call, host, worker)
                items = worker.stream(call, name, method, args, kwargs, call.timeout_s)
                break
            except BaseException as error:
                self._stream_ended(lease, call, host, worker)
                if not (isinstance(error, TurnLost) and worker.blameless):
                    raise
        with self._registry.lock:
            if call.counted:
                self._streams.add(call)
        # It has a deadline of its own from now on.
        self._registry.wake()
        return items

    def delist(self, lease: Lease, call: StreamCall) -> None:
        """A stream is over."""
        self._end(lease, call, False)
        with self._registry.lock:
            self._streams.discard(call)

    def cancel(self, lease: Lease) -> None:
        """See `Lease.cancel`."""
        with self._registry.lock:
            lease.cancels += 1
            calls = list(lease.calls)
        for call in calls:
            call.cancel(CallCancelled(f"{call.label} was cancelled"))

    def preload(self, lease: Lease, force: Force, safe_s: float = 0.0) -> Future[None]:
        """See `Lease.preload` and `Lease.prefetch`."""
        resident = lease.resident
        force = _at_most(resident, force)
        done: Future[None] = Future()
        with self._registry.lock:
            if lease.released:
                done.set_exception(LeaseReleased(f"{resident.spec.name}: the lease was released"))
            elif resident.ready is not None:
                if safe_s:
                    resident.safe_until = max(resident.safe_until, self._registry.clock() + safe_s)
                done.set_result(None)
            elif resident.failed:
                done.set_exception(_model_failed(resident))
            else:
                load = self._loader.load_once(resident, force, safe_s)
                if not _of_no_use(load, force):
                    return load.future
                # The next load is ours.
                load.done.add_done_callback(lambda _: _follow(self.preload(lease, force, safe_s), done))
        return done

    def end_unread(self) -> list[float]:
        """Cancel streams that nobody reads; returns how long the others may still go unread [s]."""
        now = time.monotonic()
        with self._registry.lock:
            streams = list(self._streams)
        delays = []
        for call in streams:
            left = call.touched + call.timeout_s + _UNREAD_SLACK_S - now
            if left > 0:
                delays.append(left)
            else:
                call.cancel(CallTimeout(f"{call.label}: nobody read it for {call.timeout_s:g} s"))
        return delays

    def _begin(self, lease: Lease, call: Call) -> tuple[Host, Worker]:
        """Count a call as user of its model and return the worker, once the model is loaded."""
        resident = lease.resident
        call.check()
        with self._registry.lock:
            if lease.released:
                raise LeaseReleased(f"{call.label}: the lease was released")
            lease.calls.add(call)
            call.counted = True
            resident.users += 1
            host = resident.ready
        if host is None:
            try:
                host = self._await_loaded(resident, call)
            except BaseException:
                self._end(lease, call, False)
                raise
        assert host.worker is not None
        return host, host.worker

    def _await_loaded(self, resident: Resident, call: Call) -> Host:
        while True:
            with self._registry.lock:
                if resident.ready is not None:
                    return resident.ready
                if resident.failed:
                    raise _model_failed(resident)
                force = _at_most(resident, Force.FULL)
                load = self._loader.load_once(resident, force)
                # Then ours comes when it has ended.
                ended = _of_no_use(load, force)
            loaded = threading.Event()
            (load.done if ended else load.future).add_done_callback(lambda _, event=loaded: event.set())  # type: ignore[misc]
            call.wait(loaded, None)
            if not ended and (error := load.future.exception()) is not None:
                # Its own instance for every caller: they are raised in several threads.
                raise copy.copy(error)

    def _end(self, lease: Lease, call: Call, answered: bool) -> None:
        """A call is over: its model may be idle again. Does nothing the second time."""
        with self._registry.lock:
            lease.calls.discard(call)
            if not call.counted:
                return
            call.counted = False
            resident = lease.resident
            resident.users -= 1
            resident.idle_since = self._registry.clock()
            if self._registry.waiting and not resident.users:
                self._registry.tell_waiting()
            if answered:
                resident.last_used = resident.idle_since
                resident.failures = 0

    def _stream_ended(self, lease: Lease, call: StreamCall, host: Host, worker: Worker) -> None:
        call.on_end = None
        if worker.dead:
            self._unloader.bury(host)
        self._end(lease, call, not worker.dead)
        with self._registry.lock:
            self._streams.discard(call)


def _at_most(resident: Resident, force: Force) -> Force:
    return min(force, Force.MEEK) if resident.spec.background else force


def _of_no_use(load: Load, force: Force) -> bool:
    """Whether this load ends without a model though one with this force might bring it."""
    return load.aborted.is_set() or (load.refused is not None and load.refused < force)


def _follow(load: Future[None], done: Future[None]) -> None:
    def tell(load: Future[None]) -> None:
        error = load.exception()
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(None)

    load.add_done_callback(tell)


def _model_failed(resident: Resident) -> ModelFailed:
    return ModelFailed(
        f"model {resident.spec.name} failed {resident.failures} times in a row and is not tried again until "
        f"reset; last: {resident.last_error}"
    )
