"""The pool: which models are in memory, and why."""

from __future__ import annotations

import copy
import logging
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from typing import Any

from bbia_ros.residency import admission
from bbia_ros.residency.accounting import MemorySampler
from bbia_ros.residency.call import Call, StreamCall
from bbia_ros.residency.errors import (
    CallCancelled,
    CallTimeout,
    EngineError,
    LeaseReleased,
    LoadFailed,
    ModelFailed,
    ResidencyError,
    SpecConflict,
    WorkerDied,
)
from bbia_ros.residency.inline import InlineWorker
from bbia_ros.residency.lease import Lease
from bbia_ros.residency.ledger import Ledger
from bbia_ros.residency.measurements import Measurements
from bbia_ros.residency.process import WorkerProcess
from bbia_ros.residency.resident import Host, ItemStream, Load, Resident, Worker
from bbia_ros.residency.spec import MB, ModelInfo, ModelSpec, ReleaseRecord
from bbia_ros.residency.supervisor import Supervisor, Watch

_log = logging.getLogger(__name__)

BACKOFF_S = (0.2, 1.0)
"""Wait before the restart after the first and the second failure in a row; the third one is final until reset."""
END_GRACE_S = 0.3
"""A worker that was asked to end and has not by then is ended by force."""
_ADMISSION_ROUNDS = 5
_KEPT_NAMES = 64


def start_worker(spec: ModelSpec) -> Worker:
    """Start a worker process for a model (isolation "worker")."""
    threads = spec.arguments.get("threads", 0)
    return WorkerProcess.start(spec.nice, threads if isinstance(threads, int) and threads > 0 else 0)


class Pool:
    """Hands out leases, loads on demand, evicts, unloads. Thread-safe; meant to be one per process.

    Owns the workers, one supervising thread while any of them lives, and its entries in the ledger. Does not
    own the spawner, which is the process's.

    Args:
        budget_mb: Limit for all workers of the stack together [MB]; None: no limit.
        group_limits: Most models of a group in memory at a time.
        ledger: Where the pools of the stack's processes agree on the budget; None: this pool is alone.
        isolation: "worker" (a process per model) or "inline" (in this process; for tests and debugging).
        measurements: What models really need; None: the file under XDG_STATE_HOME.
        ask: Called as ``ask(needed_bytes, requester)`` when idle models of other processes are in the way;
            has them unloaded and returns the bytes freed. May block; called from a loading thread.
        worker_factory: Starts a worker; for tests.
        clock: Monotonic seconds; for tests.
        backoff_s: See BACKOFF_S; for tests.
        supervise: False: nobody watches timers and deaths but `step`; for tests.
    """

    def __init__(
        self,
        *,
        budget_mb: float | None = None,
        group_limits: Mapping[str, int] | None = None,
        ledger: Ledger | None = None,
        isolation: str = "worker",
        measurements: Measurements | None = None,
        ask: Callable[[int, str], int] | None = None,
        worker_factory: Callable[[ModelSpec], Worker] | None = None,
        clock: Callable[[], float] = time.monotonic,
        backoff_s: tuple[float, ...] = BACKOFF_S,
        supervise: bool = True,
    ) -> None:
        if isolation not in ("worker", "inline"):
            raise ValueError(f"isolation is {isolation!r}, expected 'worker' or 'inline'")
        if budget_mb is not None and not budget_mb > 0:
            raise ValueError(f"budget_mb is {budget_mb}, expected more than 0")
        self._budget = None if budget_mb is None else int(budget_mb * MB)
        self._group_limits = dict(group_limits or {})
        self._ledger = ledger
        self._measurements = measurements if measurements is not None else Measurements()
        self.ask = ask
        self._start_worker = worker_factory or (start_worker if isolation == "worker" else lambda spec: InlineWorker())
        self._clock = clock
        self._backoff_s = backoff_s
        self._lock = threading.Lock()
        self._admission = threading.Lock()
        self._residents: dict[str, Resident] = {}
        self._hosts: dict[str, Host] = {}
        self._streams: set[StreamCall] = set()
        self._dropped: deque[Call] = deque()
        self._callbacks: list[Callable[[], None]] = []
        self._changes = 0
        self._told = 0
        self._closed = False
        self._sampler = MemorySampler()
        self._supervisor = Supervisor(self.step) if supervise else None

    # --- what users see ----------------------------------------------------------------------------------

    def acquire(self, spec: ModelSpec) -> Lease:
        """Take a lease on a model. Loads nothing and costs microseconds; never refused for lack of memory.

        Raises:
            SpecConflict: Somebody holds a model of this name with other settings.
            LeaseReleased: The pool is closed.
        """
        with self._lock:
            if self._closed:
                raise LeaseReleased("the model pool is closed")
            resident = self._residents.get(spec.name)
            if resident is None:
                self._forget_old()
                resident = self._residents[spec.name] = Resident(spec)
            elif resident.spec is not spec and resident.spec != spec:
                if resident.leases:
                    raise SpecConflict(f"model {spec.name} is held already, with other settings")
                resident.spec = spec
                resident.failed = False
                resident.failures = 0
                resident.retry_at = 0.0
            lease = Lease(self, resident)
            resident.leases.add(lease)
            return lease

    def snapshot(self) -> list[ModelInfo]:
        """Every model that was ever leased here, most of them exact, memory at most about a second old."""
        with self._lock:
            rows = [
                (one, one.state, one.host.worker.pid if one.host is not None and one.host.worker is not None else 0)
                for one in self._residents.values()
            ]
            infos = []
            for one, state, pid in rows:
                sample = self._sampler.get(pid) if pid else None
                infos.append(
                    ModelInfo(
                        name=one.spec.name,
                        task=one.spec.task,
                        group=one.spec.group,
                        engine=one.spec.engine,
                        device=one.spec.device,
                        pinned=one.spec.pinned,
                        state=state,
                        pid=pid,
                        pss_bytes=sample.pss if sample is not None else 0,
                        budget_bytes=one.reserved,
                        last_used=one.last_used,
                        loads=one.loads,
                        evictions=one.evictions,
                        holders=len(one.leases),
                        last_error=one.last_error,
                        load_s=one.load_s,
                        last_release=one.last_release,
                    )
                )
            return infos

    def on_change(self, callback: Callable[[], None]) -> None:
        """Have `callback()` called, from a pool thread, after models were loaded, unloaded, lost or failed.

        The flicker between IDLE and BUSY is not told: `snapshot` shows it. The callback must be quick.
        """
        with self._lock:
            self._callbacks.append(callback)

    def unload(self, name: str) -> ReleaseRecord | None:
        """Take a model out of memory now; its leases stay valid.

        Returns:
            What it gave back; None if it was not in memory.

        Raises:
            ResidencyError: There is no such model, or a call is in flight.
        """
        with self._lock:
            resident = self._known(name)
            if resident.load is not None or (resident.host is not None and not resident.idle):
                raise ResidencyError(f"model {name} is in use ({resident.state}): try again when it is idle")
            if resident.host is None:
                return None
            self._mark_leaving(resident)
        return self._retire([resident], "unloaded")[0]

    def reset(self, name: str) -> None:
        """Let a FAILED model be tried again; raises ResidencyError if there is no such model."""
        with self._lock:
            resident = self._known(name)
            resident.failed = False
            resident.failures = 0
            resident.retry_at = 0.0
            resident.last_error = ""
        self._changed()

    def free(self, needed_bytes: int, requester: str = "") -> int:
        """Unload idle models, least recently used first, until so much is free: another process needs it.

        Returns:
            Bytes of the budget that were freed; may be less than needed, or 0.
        """
        with self._lock:
            occupants = [one for one in self._occupants() if one.evictable]
            names = admission.victims_for_bytes(occupants, needed_bytes)
            victims = [self._residents[one] for one in (names if names is not None else [o.name for o in occupants])]
            freed = sum(one.reserved for one in victims)
            for victim in victims:
                self._mark_leaving(victim)
        self._retire(victims, "evicted")
        if victims:
            _log.info("unloaded %s for %s", ", ".join(one.spec.name for one in victims), requester or "another process")
        return freed

    def release(self, leases: Iterable[Lease]) -> list[ReleaseRecord | None]:
        """Release several leases at once, their workers ending in parallel; see `Lease.release`."""
        leases = list(leases)
        started = time.monotonic()
        with self._lock:
            ours = [lease for lease in leases if not lease.released]
            calls = [call for lease in ours for call in lease.calls]
            alone: list[Resident] = []
            for lease in ours:
                lease.released = True
                lease.resident.leases.discard(lease)
                if not lease.resident.leases:
                    alone.append(lease.resident)
            loads = [one.load for one in alone if one.load is not None]
            leaving = [one for one in alone if one.host is not None and one.gone is None]
            waits = [one.gone for one in alone if one.gone is not None]
            for one in leaving:
                self._mark_leaving(one)
        for call in calls:
            call.cancel(CallCancelled(f"{call.label} was cancelled: its lease was released"))
        for load in loads:
            self._abort(load)
        records = dict(zip((one.spec.name for one in leaving), self._retire(leaving, "released"), strict=True))
        deadline = started + 0.5
        wait([*waits, *(load.done for load in loads)], max(0.0, deadline - time.monotonic()))
        mine = set(map(id, ours))
        return [records.get(lease.spec.name) if id(lease) in mine else None for lease in leases]

    def close(self) -> None:
        """Release everything and end every worker and thread. Leases are of no use afterwards. Idempotent."""
        with self._lock:
            self._closed = True
            leases = [lease for one in self._residents.values() for lease in one.leases]
        self.release(leases)
        with self._lock:
            rest = [one for one in self._residents.values() if one.host is not None and one.gone is None]
            for one in rest:
                self._mark_leaving(one)
        self._retire(rest, "closed")
        if self._supervisor is not None:
            self._supervisor.close()
        self._sampler.close()
        if self._ledger is not None:
            self._ledger.clear()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # --- what leases and streams use ---------------------------------------------------------------------

    def call(self, lease: Lease, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float) -> Any:
        """See `Lease.call`."""
        call = Call(f"{lease.resident.spec.name}.{method}")
        answered = False
        worker = self._begin(lease, call)
        try:
            result = worker.call(call, lease.resident.spec.name, method, args, kwargs, timeout_s)
            answered = True
            return result
        except EngineError:
            answered = True
            raise
        finally:
            self.end(lease, call, answered)
            if worker.dead:
                self._bury(worker)

    def open_stream(
        self, lease: Lease, call: StreamCall, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ItemStream:
        """Start a stream at its first item."""
        call.touched = time.monotonic()
        worker = self._begin(lease, call)
        try:
            call.on_end = lambda: self._stream_ended(lease, call, worker)
            items = worker.stream(call, lease.resident.spec.name, method, args, kwargs, call.timeout_s)
        except BaseException:
            self._stream_ended(lease, call, worker)
            raise
        with self._lock:
            if call.counted:
                self._streams.add(call)
        if self._supervisor is not None:
            self._supervisor.wake()
        return items

    def enlist(self, lease: Lease, call: Call) -> None:
        """Have a stream cancelled with its lease, though it has not started."""
        with self._lock:
            if lease.released:
                raise LeaseReleased(f"{call.label}: the lease was released")
            lease.calls.add(call)

    def note_dropped(self, call: Call) -> None:
        """A stream was forgotten by its reader before its end: cancel it soon. Takes no lock."""
        self._dropped.append(call)
        if self._supervisor is not None:
            self._supervisor.nudge()

    def cancel(self, lease: Lease) -> None:
        """See `Lease.cancel`."""
        with self._lock:
            calls = list(lease.calls)
        for call in calls:
            call.cancel(CallCancelled(f"{call.label} was cancelled"))

    def preload(self, lease: Lease) -> Future[None]:
        """See `Lease.preload`."""
        done: Future[None] = Future()
        with self._lock:
            resident = lease.resident
            if lease.released:
                done.set_exception(LeaseReleased(f"{resident.spec.name}: the lease was released"))
            elif resident.failed:
                done.set_exception(self._model_failed(resident))
            elif resident.ready is not None:
                done.set_result(None)
            else:
                return self._load_once(resident).future
        return done

    def end(self, lease: Lease, call: Call, answered: bool) -> None:
        """A call is over: its model may be idle again. Does nothing the second time."""
        with self._lock:
            lease.calls.discard(call)
            if not call.counted:
                return
            call.counted = False
            resident = lease.resident
            resident.users -= 1
            resident.idle_since = self._clock()
            if resident.host is not None:
                resident.last_used = resident.idle_since
            if answered:
                resident.failures = 0

    def _stream_ended(self, lease: Lease, call: StreamCall, worker: Worker) -> None:
        self.end(lease, call, not worker.dead)
        with self._lock:
            self._streams.discard(call)
        if worker.dead:
            self._bury(worker)

    def _begin(self, lease: Lease, call: Call) -> Worker:
        """Count a call as user of its model and return the worker, once the model is loaded."""
        resident = lease.resident
        call.check()
        with self._lock:
            if lease.released:
                raise LeaseReleased(f"{call.label}: the lease was released")
            lease.calls.add(call)
            call.counted = True
            resident.users += 1
            host = resident.ready
        try:
            if host is None:
                host = self._await_loaded(resident, call)
            else:
                call.check()
        except BaseException:
            self.end(lease, call, False)
            raise
        assert host.worker is not None
        return host.worker

    def _await_loaded(self, resident: Resident, call: Call) -> Host:
        while True:
            with self._lock:
                if resident.ready is not None:
                    return resident.ready
                if resident.failed:
                    raise self._model_failed(resident)
                if resident.gone is not None:
                    change, load = resident.gone, None
                else:
                    load = self._load_once(resident)
                    change = load.future
                    if load.aborted.is_set():
                        change, load = load.done, None
            changed = threading.Event()
            change.add_done_callback(lambda _, event=changed: event.set())  # type: ignore[misc]
            call.wait(changed, None)
            if load is not None and (error := load.future.exception()) is not None:
                # Its own instance for every caller: they are raised in several threads.
                raise copy.copy(error)

    def _model_failed(self, resident: Resident) -> ModelFailed:
        return ModelFailed(
            f"model {resident.spec.name} failed {resident.failures} times in a row and is not tried again until "
            f"reset; last: {resident.last_error}"
        )

    # --- loading -----------------------------------------------------------------------------------------

    def _load_once(self, resident: Resident) -> Load:
        """The load that goes on, or a new one; with the lock held."""
        if resident.load is None:
            resident.load = Load(resident.spec.name)
            threading.Thread(
                target=self._load, args=(resident, resident.load), name=f"bbia-load-{resident.spec.name}", daemon=True
            ).start()
        return resident.load

    def _load(self, resident: Resident, load: Load) -> None:
        name = resident.spec.name
        error: ResidencyError | None = None
        try:
            delay = resident.retry_at - self._clock()
            if delay > 0:
                load.aborted.wait(delay)
            self._check_aborted(load)
            self._changed()
            self._admit(resident, load)
            self._build(resident, load)
        except ResidencyError as caught:
            error = caught
        except Exception as caught:  # whatever it is, the waiting callers must hear of it
            _log.exception("loading %s failed", name)
            error = LoadFailed(f"{name} could not be loaded: {caught}")
        if error is not None:
            with self._lock:
                resident.load = None
                if isinstance(error, LoadFailed):
                    resident.note_failure(str(error), self._clock(), self._backoff_s)
                elif not isinstance(error, CallCancelled):
                    resident.last_error = str(error)
            self._unreserve([resident])
            load.future.set_exception(error)
        else:
            load.future.set_result(None)
        load.done.set_result(None)
        self._changed()

    def _build(self, resident: Resident, load: Load) -> None:
        """Start the worker if need be and build the engine in it."""
        spec = resident.spec
        began = time.monotonic()
        with self._lock:
            key = f"worker {spec.worker}" if spec.worker else f"model {spec.name}"
            host = self._hosts.get(key)
            if host is None or host.lost:
                host = self._hosts[key] = Host(key)
            host.models.add(spec.name)
        try:
            with host.lock:
                if host.worker is None:
                    host.worker = self._start_worker(spec)
            load.worker = host.worker if not spec.worker else None
            self._check_aborted(load)
            held, peak = host.worker.load(load.call, spec.name, spec.engine, spec.arguments, spec.load_timeout_s)
        except BaseException as error:
            self._give_up(host, spec.name)
            if isinstance(error, EngineError):
                raise LoadFailed(f"{spec.name} could not be loaded: {error}") from error
            if isinstance(error, CallTimeout):
                raise LoadFailed(f"{spec.name} could not be loaded within {spec.load_timeout_s:g} s") from error
            if isinstance(error, WorkerDied):
                load.call.check()
                raise LoadFailed(f"{spec.name} could not be loaded: {error}") from error
            if isinstance(error, OSError):
                raise LoadFailed(f"{spec.name} could not be loaded: its worker did not start ({error})") from error
            raise
        self._measurements.record(spec, held, peak)
        with self._lock:
            resident.load_s = time.monotonic() - began
            resident.loads += 1
            resident.last_error = ""
            resident.host = host
            resident.load = None
            resident.reserved = held
            resident.idle_since = self._clock()
            abandoned = not resident.leases
            if abandoned:
                self._mark_leaving(resident)
        if self._ledger is not None:
            self._ledger.settle(spec.name, held, "loaded, pinned" if spec.pinned else "loaded")
        if abandoned:
            self._retire([resident], "released")
            raise CallCancelled(f"{spec.name} was released while it was being loaded")

    def _give_up(self, host: Host, name: str) -> None:
        """After a failed load: the worker goes too unless other models live in it."""
        with self._lock:
            host.models.discard(name)
            alone = not host.models
            if alone and self._hosts.get(host.key) is host:
                del self._hosts[host.key]
        if host.worker is not None:
            if host.worker.dead:
                self._bury(host.worker)
            elif alone:
                host.worker.begin_end()
                host.worker.finish_end(time.monotonic() + END_GRACE_S)

    def _abort(self, load: Load) -> None:
        """Nobody wants this load any more."""
        load.aborted.set()
        worker = load.worker
        if worker is not None:
            load.call.cancel(CallCancelled(f"{load.call.label} was cancelled: the last lease was released"))
            worker.kill(f"{load.call.label} was cancelled", blame=False)

    def _check_aborted(self, load: Load) -> None:
        if load.aborted.is_set():
            raise CallCancelled(f"{load.call.label} was cancelled: the last lease was released")

    # --- admission ---------------------------------------------------------------------------------------

    def _occupants(self) -> list[admission.Occupant]:
        """Models of this pool that take room; with the lock held."""
        return [
            admission.Occupant(
                name=one.spec.name,
                group=one.spec.group,
                size=one.reserved,
                last_used=one.idle_since,
                evictable=one.evictable and not self._neighbour_busy(one),
                state=f"{one.state}, pinned" if one.spec.pinned else str(one.state),
            )
            for one in self._residents.values()
            if one.reserved
        ]

    def _neighbour_busy(self, resident: Resident) -> bool:
        """Whether its shared worker is busy with another model, and could not unload this one now."""
        host = resident.host
        return host is not None and any(self._residents[name].users > 0 for name in host.models)

    def _admit(self, resident: Resident, load: Load) -> None:
        """Make room and reserve it; one admission at a time.

        Raises:
            AdmissionRefused: It does not fit.
        """
        spec = resident.spec
        need = self._measurements.peak_bytes(spec)
        with self._admission:
            asked = False
            for _ in range(_ADMISSION_ROUNDS):
                self._check_aborted(load)
                others = self._ledger.others() if self._ledger is not None else []
                with self._lock:
                    ours = [one for one in self._occupants() if one.name != spec.name]
                    victims, missing, refusal = self._plan(spec, need, ours, others)
                    leaving = [self._residents[name] for name in victims]
                    for victim in leaving:
                        self._mark_leaving(victim)
                    if refusal is None and not victims:
                        # Pending loads count from here on.
                        resident.reserved = need
                if refusal is not None:
                    if missing and others and self.ask is not None and not asked:
                        asked = True
                        self.ask(missing, spec.name)
                        continue
                    raise refusal
                if victims:
                    self._retire(leaving, "evicted")
                    continue
                if self._ledger is None or self._ledger.reserve(spec.name, need, self._budget):
                    return
                # Another process was quicker: look again.
                with self._lock:
                    resident.reserved = 0
            assert self._budget is not None
            raise admission.refuse_bytes(spec.name, need, self._budget, [*ours, *others])

    def _plan(
        self,
        spec: ModelSpec,
        need: int,
        ours: Sequence[admission.Occupant],
        others: Sequence[admission.Occupant],
    ) -> tuple[list[str], int, ResidencyError | None]:
        """Who goes for this model; the bytes that are missing beyond that; the refusal if that is not enough."""
        limit = self._group_limits.get(spec.group) if spec.group else None
        victims: list[str] = []
        if limit is not None:
            members = admission.victims_for_group(ours, spec.group, limit)
            if members is None:
                return [], 0, admission.refuse_group(spec.name, spec.group, limit, ours)
            victims = members
        if self._budget is None:
            return victims, 0, None
        everybody = [*ours, *others]
        staying = [one for one in ours if one.name not in victims]
        missing = admission.shortage([*staying, *others], need, self._budget)
        more = admission.victims_for_bytes(staying, missing)
        if more is None:
            short = missing - sum(one.size for one in staying if one.evictable)
            fits_ever = need <= self._budget
            return [], short if fits_ever else 0, admission.refuse_bytes(spec.name, need, self._budget, everybody)
        return [*victims, *more], 0, None

    # --- unloading ---------------------------------------------------------------------------------------

    def _mark_leaving(self, resident: Resident) -> None:
        """From now on nobody gets this model's worker; with the lock held."""
        resident.gone = Future()

    def _retire(self, residents: Sequence[Resident], reason: str) -> list[ReleaseRecord | None]:
        """Unload models that were marked as leaving; workers end in parallel."""
        jobs = []
        with self._lock:
            hosts: dict[str, list[Resident]] = {}
            for one in residents:
                if one.host is not None:
                    hosts.setdefault(one.host.key, []).append(one)
            for leaving in hosts.values():
                host = leaving[0].host
                assert host is not None
                for one in leaving:
                    host.models.discard(one.spec.name)
                if not host.models and self._hosts.get(host.key) is host:
                    del self._hosts[host.key]
                jobs.append((host, leaving, not host.models))
        threads = [
            threading.Thread(target=self._retire_from, args=(*job, reason), name="bbia-unload", daemon=True)
            for job in jobs[1:]
        ]
        for thread in threads:
            thread.start()
        if jobs:
            self._retire_from(*jobs[0], reason)
        for thread in threads:
            thread.join()
        return [one.last_release for one in residents]

    def _retire_from(self, host: Host, leaving: list[Resident], ends: bool, reason: str) -> None:
        """Unload models of one worker, or end it if they are the last ones in it."""
        worker = host.worker
        assert worker is not None
        began = time.monotonic()
        held = {one.spec.name: one.reserved for one in leaving}
        back = dict(held)
        try:
            if ends:
                worker.begin_end()
                held, back = _share(held, *worker.finish_end(began + END_GRACE_S))
            else:
                for one in leaving:
                    before, after = worker.unload(one.spec.name)
                    back[one.spec.name] = max(0, before - after)
                    held[one.spec.name] = max(one.reserved, before - after)
        except ResidencyError as error:
            _log.warning("unloading %s: %s", ", ".join(held), error)
        duration = time.monotonic() - began
        with self._lock:
            for one in leaving:
                name = one.spec.name
                one.last_release = ReleaseRecord(name, reason, held[name], back[name], duration)
                one.evictions += reason in ("evicted", "idle")
        self._gone(leaving)
        if worker.dead and not ends:
            self._bury(worker)
        self._changed()

    def _gone(self, residents: Sequence[Resident]) -> None:
        """Models are out of memory: tell the ledger, then whoever waits for it."""
        with self._lock:
            for one in residents:
                one.host = None
        self._unreserve(residents)
        with self._lock:
            gone = [one.gone for one in residents if one.gone is not None]
            for one in residents:
                one.gone = None
        for future in gone:
            future.set_result(None)

    def _unreserve(self, residents: Sequence[Resident]) -> None:
        with self._lock:
            names = [one.spec.name for one in residents if one.reserved]
            for one in residents:
                one.reserved = 0
        if self._ledger is not None and names:
            try:
                self._ledger.release(names)
            except ResidencyError as error:
                _log.warning("%s", error)

    def _bury(self, worker: Worker) -> None:
        """A worker was found dead: its models are absent, their users hear of it, the failure counts."""
        with self._lock:
            host = next((one for one in self._hosts.values() if one.worker is worker), None)
            if host is None:
                return
            del self._hosts[host.key]
            host.lost = True
            here = [one for one in self._residents.values() if one.host is host]
        error = worker.bury()
        with self._lock:
            guilty = [one for one in here if one.users] or here
            calls = [call for one in here for lease in one.leases for call in lease.calls if call.counted]
            for one in here:
                if one in guilty and not worker.blameless:
                    one.note_failure(str(error), self._clock(), self._backoff_s)
        self._gone(here)
        for call in calls:
            call.cancel(WorkerDied(f"{call.label}: {error}"))
        _log.warning("%s: %s", ", ".join(one.spec.name for one in here) or host.key, error)
        self._changed()

    # --- supervision -------------------------------------------------------------------------------------

    def step(self) -> Watch | None:
        """Do what is due: timers, deaths, stale and forgotten streams, notices. Called by the supervisor."""
        while self._dropped:
            call = self._dropped.popleft()
            call.cancel(CallCancelled(f"{call.label} was dropped"))
        self._notify()
        now = self._clock()
        delays = []
        with self._lock:
            workers = [one.worker for one in self._hosts.values() if one.worker is not None]
            idle = []
            for one in self._residents.values():
                if one.host is None or one.spec.ttl_s == 0 or one.gone is not None:
                    continue
                since = now if one.users else one.idle_since
                if one.idle and now - since >= one.spec.ttl_s and not self._neighbour_busy(one):
                    idle.append(one)
                    self._mark_leaving(one)
                else:
                    delays.append(max(since + one.spec.ttl_s - now, 0.1))
            streams = list(self._streams)
        self._retire(idle, "idle")
        steady = time.monotonic()
        for stream in streams:
            left = stream.touched + stream.timeout_s + 1.0 - steady
            if left <= 0 and stream.cancelled is None:
                stream.cancel(CallTimeout(f"{stream.label}: nobody read it for {stream.timeout_s:g} s"))
            else:
                delays.append(max(left, 0.1))
        fds = []
        for worker in workers:
            if worker.dead or _ended(worker):
                self._bury(worker)
            elif worker.death_fd >= 0:
                fds.append(worker.death_fd)
        self._notify()
        with self._lock:
            if not self._hosts and not self._dropped and self._told == self._changes:
                return None
        return Watch(fds, min(delays) if delays else None)

    def _changed(self) -> None:
        with self._lock:
            self._changes += 1
        if self._supervisor is not None:
            self._supervisor.wake()

    def _notify(self) -> None:
        with self._lock:
            if self._told == self._changes:
                return
            self._told = self._changes
            callbacks = list(self._callbacks)
        for callback in callbacks:
            try:
                callback()
            except Exception:
                _log.exception("a callback for changes of the model pool failed")

    # --- small things ------------------------------------------------------------------------------------

    def _known(self, name: str) -> Resident:
        resident = self._residents.get(name)
        if resident is None:
            raise ResidencyError(f"there is no model {name!r} here; known are {', '.join(self._residents) or 'none'}")
        return resident

    def _forget_old(self) -> None:
        """Keep the history of models that nobody holds within bounds; with the lock held."""
        if len(self._residents) >= _KEPT_NAMES:
            for name, one in list(self._residents.items()):
                if not one.leases and one.host is None and one.load is None and one.gone is None:
                    del self._residents[name]
                    return


def _share(sizes: Mapping[str, int], held: int, back: int) -> tuple[dict[str, int], dict[str, int]]:
    """Share what a worker held and gave back among its models, by what each of them counted for."""
    total = sum(sizes.values()) or 1
    if len(sizes) == 1:
        return dict.fromkeys(sizes, held), dict.fromkeys(sizes, back)
    return (
        {name: held * size // total for name, size in sizes.items()},
        {name: back * size // total for name, size in sizes.items()},
    )


def _ended(worker: Worker) -> bool:
    """Whether the worker's process has ended, noticed or not."""
    if worker.death_fd < 0:
        return False
    poll = select.poll()
    poll.register(worker.death_fd, select.POLLIN)
    return any(events & select.POLLIN for _, events in poll.poll(0))
