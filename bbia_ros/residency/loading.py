"""Brings models into memory: has room made, starts the worker, builds the engine."""

from __future__ import annotations

import functools
import logging
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import wait

from bbia_ros.residency.admission import Force
from bbia_ros.residency.admitting import Admitter
from bbia_ros.residency.errors import (
    AdmissionRefused,
    CallCancelled,
    CallTimeout,
    EngineError,
    LoadFailed,
    OutOfMemory,
    ResidencyError,
    WorkerDied,
)
from bbia_ros.residency.registry import Registry
from bbia_ros.residency.resident import Host, Load, Resident, Worker
from bbia_ros.residency.spec import ModelSpec
from bbia_ros.residency.unloading import END_GRACE_S, Unloader

_log = logging.getLogger(__name__)
_NO_MEMORY = re.compile(r"bad_alloc|cannot allocate memory|failed to allocate|out of memory", re.IGNORECASE)
"""How native libraries tell that an allocation failed."""


class Loader:
    """Loads models, each in a thread of its own that ends with the load.

    Args:
        registry: The pool's books.
        unloader: Ends what did not work.
        admitter: Finds room.
        start_worker: Starts a worker for a model.
        start_process: The same for a model that leaked in our own process.
    """

    def __init__(
        self,
        registry: Registry,
        unloader: Unloader,
        admitter: Admitter,
        start_worker: Callable[[ModelSpec], Worker],
        start_process: Callable[[ModelSpec], Worker],
    ) -> None:
        self._registry = registry
        self._unloader = unloader
        self._admitter = admitter
        self._start_worker = start_worker
        self._start_process = start_process

    def load_once(self, resident: Resident, force: Force = Force.FULL, safe_s: float = 0.0) -> Load:
        """The load that goes on, or a new one; with the registry's lock held."""
        if resident.load is None:
            resident.load = Load(resident.spec.name, force)
            threading.Thread(
                target=self._load, args=(resident, resident.load), name=f"bbia-load-{resident.spec.name}", daemon=True
            ).start()
        load = resident.load
        load.force, load.safe_s = max(load.force, force), max(load.safe_s, safe_s)
        return load

    def abort(self, load: Load) -> None:
        """Nobody wants this load any more: end it soon. A shared worker is left to finish it, then it goes."""
        load.aborted.set()
        with self._registry.lock:
            self._registry.room.notify_all()
        worker = load.worker
        if worker is not None:
            load.call.cancel(load.unwanted())
            worker.kill(f"{load.call.label} was cancelled", blame=False)

    def _load(self, resident: Resident, load: Load) -> None:
        registry, name = self._registry, resident.spec.name
        error: ResidencyError | None = None
        try:
            with registry.lock:
                leaving = resident.gone
            if leaving is not None:
                wait([leaving])
            registry.changed()
            delay = resident.retry_at - registry.clock()
            if delay > 0:
                load.aborted.wait(delay)
            load.check()
            self._admitter.admit(resident, load, max(self._registry.measurements.peak_bytes(resident.spec), 1))
            self._build(resident, load)
        except ResidencyError as caught:
            error = caught
        except Exception as caught:  # whatever it is, the waiting callers must hear of it
            _log.exception("loading %s failed", name)
            error = LoadFailed(f"{name} could not be loaded: {caught}")
        if error is not None:
            with registry.lock:
                # Not so if it was built and let go at once: then the next load may be under way.
                ours = resident.load is load
            if ours:
                # What was reserved goes first: who is told may try again at once.
                registry.unreserve([resident])
                with registry.lock:
                    resident.load = None
                    if isinstance(error, LoadFailed):
                        resident.note_failure(str(error), registry.clock(), registry.backoff_s)
                    elif not isinstance(error, CallCancelled):
                        resident.last_error = str(error)
            load.future.set_exception(error)
        else:
            load.future.set_result(None)
        load.done.set_result(None)
        registry.changed()

    # --- building ----------------------------------------------------------------------------------------

    def _build(self, resident: Resident, load: Load) -> None:
        """Start the worker if need be and build the engine in it.

        Raises:
            LoadFailed: It did not work.
            CallCancelled: Nobody wants it any more.
        """
        registry, spec = self._registry, resident.spec
        began, built = registry.clock(), False
        with registry.lock:
            key = f"worker {spec.worker}" if spec.worker else f"model {spec.name}"
            if resident.leaking:
                key += ", in a process"
            host = registry.hosts.setdefault(key, Host(key))
            host.models.add(spec.name)
        try:
            with host.lock:
                if host.worker is None:
                    host.worker = (self._start_process if resident.leaking else self._start_worker)(spec)
                    # So that its death is noticed while it loads.
                    registry.wake()
            load.worker = None if spec.worker else host.worker
            load.check()
            watch = functools.partial(self._watch, resident, load, host)
            timeout_s = spec.load_timeout_s
            held, peak = host.worker.load(load.call, spec.name, spec.engine, spec.arguments, timeout_s, watch)
            built = True
            if held > resident.reserved:
                self._admitter.enlarge(resident, load, held)
        except BaseException as error:
            self._give_up(host, spec.name, built)
            if load.aborted.is_set() or isinstance(error, CallCancelled):
                raise load.unwanted() from error
            raise _load_failed(spec, error) from error
        load_s = registry.clock() - began
        registry.measurements.record(spec, held, max(peak, load.reached), load_s)
        registry.settle(resident, max(held, registry.measurements.used_bytes(spec)))
        with registry.lock:
            if host.buried is not None:
                raise LoadFailed(f"{spec.name} could not be loaded: its worker died just after")
            resident.load_s = load_s
            resident.reload_s = registry.measurements.load_s(spec)
            resident.loads += 1
            resident.last_error = ""
            resident.host = host
            resident.load = None
            resident.loaded_at = resident.idle_since = registry.clock()
            resident.safe_until = resident.idle_since + load.safe_s if load.safe_s else float("-inf")
            abandoned = not resident.leases
            if abandoned:
                registry.mark_leaving([resident])
        if abandoned:
            self._unloader.retire([resident], "released")
            raise load.unwanted()

    def _watch(self, resident: Resident, load: Load, host: Host) -> None:
        """While the worker builds the engine: see that it takes no more than was reserved.

        Raises:
            Outgrown: It does, and there is no more room.
        """
        registry, worker = self._registry, host.worker
        assert worker is not None
        with registry.lock:
            admitted = sum(one.reserved for name in host.models if (one := registry.residents.get(name)) is not None)
        private = worker.private_over(admitted)
        if private:
            worker.pause()
            try:
                self._admitter.enlarge(resident, load, resident.reserved + private - admitted)
            finally:
                worker.resume()

    def _give_up(self, host: Host, name: str, built: bool) -> None:
        """After a failed load: the worker goes too unless other models live in it."""
        registry = self._registry
        worker = host.worker
        if worker is not None and worker.dead:
            self._unloader.bury(host)
        with registry.lock:
            host.models.discard(name)
            alone = not host.models
            if alone and registry.hosts.get(host.key) is host:
                del registry.hosts[host.key]
        if worker is None or worker.dead:
            return
        if alone:
            worker.begin_end()
            worker.finish_end(time.monotonic() + END_GRACE_S)
        elif built:
            try:
                worker.unload(name)
            except ResidencyError as error:
                _log.warning("unloading %s: %s", name, error)


def _load_failed(spec: ModelSpec, error: BaseException) -> ResidencyError:
    if isinstance(error, AdmissionRefused):
        return error
    failed = f"{spec.name} could not be loaded"
    if isinstance(error, CallTimeout):
        return LoadFailed(
            f"{failed} within {spec.load_timeout_s:g} s and its worker was ended: the engine {spec.engine} hangs, or "
            "needs a larger load_timeout_s"
        )
    if isinstance(error, OSError):
        return LoadFailed(f"{failed}: its worker did not start ({error})")
    if isinstance(error, EngineError) and error.kind in ("ImportError", "ModuleNotFoundError"):
        install = ": install it" if error.kind == "ModuleNotFoundError" else ""
        return LoadFailed(f"{failed}: {error} (engine {spec.engine}){install}")
    if isinstance(error, EngineError) and (error.kind == "MemoryError" or _NO_MEMORY.search(str(error))):
        why = "" if str(error) == error.kind else f" ({error})"
        return OutOfMemory(f"{failed}: the system gave it no memory{why}: free some, or choose a smaller model")
    if isinstance(error, WorkerDied) and any(signal in str(error) for signal in ("SIGABRT", "SIGKILL")):
        return LoadFailed(f"{failed}: {error} (so libraries and the kernel end processes when memory runs out)")
    if isinstance(error, ResidencyError):
        return LoadFailed(f"{failed}: {error}")
    return LoadFailed(f"{failed}: {type(error).__name__}: {error}")
