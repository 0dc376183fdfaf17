"""Brings models into memory: makes room, reserves it, starts the worker, builds the engine."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import wait

from bbia_ros.residency import admission
from bbia_ros.residency.admission import Force
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
SETTLE_S = 2.0
"""A load that lacks room waits so long for other loads to give back what they need only while they go on."""
_LEDGER_PERIOD_S = 0.05
"""Loads of other processes are seen in the ledger only: looked at so often meanwhile."""


class Loader:
    """Loads models, each in a thread of its own that ends with the load; admissions happen one at a time.

    Args:
        registry: The pool's books.
        unloader: Evicts.
        start_worker: Starts a worker for a model.
        ask: See `Pool`.
        settle_s: See SETTLE_S; for tests.
    """

    def __init__(
        self,
        registry: Registry,
        unloader: Unloader,
        start_worker: Callable[[ModelSpec], Worker],
        ask: Callable[[int, str], int] | None,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._registry = registry
        self._unloader = unloader
        self._start_worker = start_worker
        self._admission = threading.Lock()
        self._settle_s = settle_s
        self.ask = ask

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
        deadline = time.monotonic() + self._settle_s
        asked = False
        while True:
            with registry.lock:
                force, settles = load.force, registry.settles
            with self._admission:
                plan = self._try(resident, load, force)
            left = deadline - time.monotonic()
            if plan.refusal is None:
                return
            if plan.hope and left > 0:
                with registry.lock:
                    registry.room.wait_for(
                        lambda seen=settles: registry.settles != seen or load.aborted.is_set(),  # type: ignore[misc]
                        min(left, _LEDGER_PERIOD_S) if registry.ledger is not None else left,
                    )
            elif plan.missing and not asked:
                asked = True
                self._ask(plan.missing, spec.name)
            else:
                with registry.lock:
                    if load.force is force:
                        load.refused = force
                        raise plan.refusal
                # Meanwhile somebody came who may do more.

    def _try(self, resident: Resident, load: Load, force: Force) -> admission.Plan:
        """Evict who must go and reserve; returns the plan with the refusal if that is not enough."""
        registry, spec = self._registry, resident.spec
        need = max(registry.measurements.peak_bytes(spec), 1)
        settled = registry.measurements.settled_bytes(spec)
        request = admission.Request(spec.name, spec.group, need, force)
        for _ in range(_ADMISSION_ROUNDS):
            _check(load)
            limits, others = registry.view()
            with registry.lock:
                ours = [one for one in registry.occupants() if one.name != spec.name]
                plan = admission.plan(request, ours, others, limits, registry.clock())
                leaving = [registry.residents[name] for name in plan.victims]
                registry.mark_leaving(leaving)
                on_their_way = [one.gone for one in registry.residents.values() if one.gone is not None]
                if plan.refusal is None and not leaving:
                    # Pending loads count from here on.
                    resident.reserved, resident.settled = need, settled
            if leaving:
                self._unloader.retire(leaving, "evicted")
            elif plan.refusal is not None:
                if not on_their_way:
                    return plan
                # What is being unloaded anyway may be enough.
                wait(on_their_way, 1.0)
            elif registry.reserve(resident, limits):
                return plan
            else:
                # Another process was quicker: look again.
                with registry.lock:
                    resident.reserved = 0
        if plan.refusal is None:
            refusal = admission.refuse_bytes(spec.name, need, limits.budget_bytes or 0, [*ours, *others])
            plan = admission.Plan(refusal=refusal)
        return plan

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
        began = registry.clock()
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
        load_s = registry.clock() - began
        registry.measurements.record(spec, held, peak, load_s)
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
            resident.idle_since = registry.clock()
            if load.safe_s:
                resident.safe_until = resident.idle_since + load.safe_s
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
