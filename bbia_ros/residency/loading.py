"""Brings models into memory: makes room, reserves it, starts the worker, builds the engine."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait

from bbia_ros.residency import admission
from bbia_ros.residency.errors import (
    CallCancelled,
    CallTimeout,
    EngineError,
    LoadFailed,
    ResidencyError,
    WorkerDied,
)
from bbia_ros.residency.registry import Registry
from bbia_ros.residency.resident import Host, Load, Resident, Worker
from bbia_ros.residency.spec import ModelSpec
from bbia_ros.residency.unloading import END_GRACE_S, Unloader

_log = logging.getLogger(__name__)
_ADMISSION_ROUNDS = 8


class Loader:
    """Loads models, each in a thread of its own that ends with the load; admissions happen one at a time.

    Args:
        registry: The pool's books.
        unloader: Evicts.
        start_worker: Starts a worker for a model.
        ask: See `Pool`.
    """

    def __init__(
        self,
        registry: Registry,
        unloader: Unloader,
        start_worker: Callable[[ModelSpec], Worker],
        ask: Callable[[int, str], int] | None,
    ) -> None:
        self._registry = registry
        self._unloader = unloader
        self._start_worker = start_worker
        self._admission = threading.Lock()
        self.ask = ask

    def load_once(self, resident: Resident) -> Load:
        """The load that goes on, or a new one; with the registry's lock held."""
        if resident.load is None:
            resident.load = Load(resident.spec.name)
            threading.Thread(
                target=self._load, args=(resident, resident.load), name=f"bbia-load-{resident.spec.name}", daemon=True
            ).start()
        return resident.load

    def abort(self, load: Load) -> None:
        """Nobody wants this load any more: end it soon. A shared worker is left to finish it, then it goes."""
        load.aborted.set()
        worker = load.worker
        if worker is not None:
            load.call.cancel(_unwanted(load))
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
            _check(load)
            self._admit(resident, load)
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

    # --- admission ---------------------------------------------------------------------------------------

    def _admit(self, resident: Resident, load: Load) -> None:
        """Make room and reserve it.

        Raises:
            AdmissionRefused: It does not fit.
            LedgerError: The ledger cannot be used.
        """
        registry, spec = self._registry, resident.spec
        need = max(registry.measurements.peak_bytes(spec), 1)
        asked = False
        with self._admission:
            for _ in range(_ADMISSION_ROUNDS):
                _check(load)
                others = registry.ledger.others() if registry.ledger is not None else []
                with registry.lock:
                    ours = [one for one in registry.occupants() if one.name != spec.name]
                    victims, missing, refusal = self._plan(spec, need, ours, others)
                    leaving = [registry.residents[name] for name in victims]
                    registry.mark_leaving(leaving)
                    on_their_way = [one.gone for one in registry.residents.values() if one.gone is not None]
                    if refusal is None and not victims:
                        # Pending loads count from here on.
                        resident.reserved = need
                if leaving:
                    self._unloader.retire(leaving, "evicted")
                elif refusal is not None:
                    if on_their_way:
                        # What is being unloaded anyway may be enough.
                        wait(on_their_way, 1.0)
                    elif missing and others and not asked:
                        asked = True
                        self._ask(missing, spec.name)
                    else:
                        raise refusal
                elif registry.ledger is None or registry.ledger.reserve(spec.name, need, registry.budget):
                    return
                else:
                    # Another process was quicker: look again.
                    with registry.lock:
                        resident.reserved = 0
        raise refusal or admission.refuse_bytes(spec.name, need, registry.budget or 0, [*ours, *others])

    def _plan(
        self,
        spec: ModelSpec,
        need: int,
        ours: Sequence[admission.Occupant],
        others: Sequence[admission.Occupant],
    ) -> tuple[list[str], int, ResidencyError | None]:
        """Who goes for this model; what is missing beyond that; the refusal if that is not enough."""
        limit = self._registry.group_limits.get(spec.group) if spec.group else None
        first: list[str] = []
        if limit is not None:
            members = admission.victims_for_group(ours, spec.group, limit)
            if members is None:
                return [], 0, admission.refuse_group(spec.name, spec.group, limit, ours)
            first = members
        budget = self._registry.budget
        if budget is None:
            return first, 0, None
        staying = [one for one in ours if one.name not in first]
        missing = admission.shortage([*staying, *others], need, budget)
        more = admission.victims_for_bytes(staying, missing)
        if more is not None:
            return [*first, *more], 0, None
        short = missing - sum(one.size for one in staying if one.evictable)
        refusal = admission.refuse_bytes(spec.name, need, budget, [*ours, *others])
        return [], short if need <= budget else 0, refusal

    def _ask(self, missing: int, requester: str) -> None:
        if self.ask is not None:
            try:
                self.ask(missing, requester)
            except Exception:
                _log.exception("asking other processes for memory failed")

    # --- building ----------------------------------------------------------------------------------------

    def _build(self, resident: Resident, load: Load) -> None:
        """Start the worker if need be and build the engine in it.

        Raises:
            LoadFailed: It did not work.
            CallCancelled: Nobody wants it any more.
        """
        registry, spec = self._registry, resident.spec
        began = time.monotonic()
        with registry.lock:
            key = f"worker {spec.worker}" if spec.worker else f"model {spec.name}"
            host = registry.hosts.setdefault(key, Host(key))
            host.models.add(spec.name)
        try:
            with host.lock:
                if host.worker is None:
                    host.worker = self._start_worker(spec)
                    # So that its death is noticed while it loads.
                    registry.wake()
            load.worker = None if spec.worker else host.worker
            _check(load)
            held, peak = host.worker.load(load.call, spec.name, spec.engine, spec.arguments, spec.load_timeout_s)
        except BaseException as error:
            self._give_up(host, spec.name)
            if load.aborted.is_set() or isinstance(error, CallCancelled):
                raise _unwanted(load) from error
            raise _load_failed(spec, error) from error
        registry.measurements.record(spec, held, peak)
        registry.settle(resident, max(held, registry.measurements.used_bytes(spec)))
        with registry.lock:
            if host.buried is not None:
                raise LoadFailed(f"{spec.name} could not be loaded: its worker died just after")
            resident.load_s = time.monotonic() - began
            resident.loads += 1
            resident.last_error = ""
            resident.host = host
            resident.load = None
            resident.idle_since = registry.clock()
            abandoned = not resident.leases
            if abandoned:
                registry.mark_leaving([resident])
        if abandoned:
            self._unloader.retire([resident], "released")
            raise _unwanted(load)

    def _give_up(self, host: Host, name: str) -> None:
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
        if worker is not None and alone and not worker.dead:
            worker.begin_end()
            worker.finish_end(time.monotonic() + END_GRACE_S)


def _load_failed(spec: ModelSpec, error: BaseException) -> ResidencyError:
    if isinstance(error, CallTimeout):
        return LoadFailed(f"{spec.name} could not be loaded within {spec.load_timeout_s:g} s")
    if isinstance(error, OSError):
        return LoadFailed(f"{spec.name} could not be loaded: its worker did not start ({error})")
    if isinstance(error, EngineError) and error.kind in ("ImportError", "ModuleNotFoundError"):
        return LoadFailed(f"{spec.name} could not be loaded: {error} (engine {spec.engine})")
    if isinstance(error, (ResidencyError, WorkerDied)):
        return LoadFailed(f"{spec.name} could not be loaded: {error}")
    return LoadFailed(f"{spec.name} could not be loaded: {type(error).__name__}: {error}")


def _unwanted(load: Load) -> CallCancelled:
    return CallCancelled(f"{load.call.label} was cancelled: the last lease was released")


def _check(load: Load) -> None:
    if load.aborted.is_set():
        raise _unwanted(load)
