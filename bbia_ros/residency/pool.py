"""The pool: which models are in memory, and the way to them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import wait

from bbia_ros.residency import admission
from bbia_ros.residency.accounting import Memory, MemorySampler, memory
from bbia_ros.residency.admitting import BUSY_S, SETTLE_S, Admitter
from bbia_ros.residency.call import Call
from bbia_ros.residency.dispatch import Dispatcher
from bbia_ros.residency.errors import CallCancelled, LeaseReleased, LedgerError, ResidencyError, SpecConflict
from bbia_ros.residency.growth import Growth
from bbia_ros.residency.lease import Lease
from bbia_ros.residency.ledger import Ledger
from bbia_ros.residency.limits import Limits
from bbia_ros.residency.loading import Loader
from bbia_ros.residency.measurements import Measurements
from bbia_ros.residency.registry import Registry
from bbia_ros.residency.resident import Resident, Worker
from bbia_ros.residency.spec import MB, ModelInfo, ModelSpec, ReleaseRecord
from bbia_ros.residency.supervisor import Supervisor, Watch
from bbia_ros.residency.unloading import Unloader
from bbia_ros.residency.upkeep import Upkeep

_log = logging.getLogger(__name__)

BACKOFF_S = (0.2, 1.0)
"""Wait before the restart after the first and the second failure in a row; the third one is final until reset."""
_RELEASE_S = 0.5


class Pool:
    """Hands out leases, loads on demand, evicts, unloads. Thread-safe; meant to be one per process.

    Owns the workers, one supervising thread while any of them lives, and its entries in the ledger. Does not
    own the spawner, which is the process's.

    Args:
        budget_mb: Limit for all workers of the stack together [MB]; None: no limit.
        group_limits: Most models of a group in memory or being loaded at a time, in the whole stack.
        eviction: Who goes to make room: "weighted" or "lru"; see `Limits`. All three limits give way to those that the
            ledger holds.
        ledger: Where the pools of the stack's processes agree on the limits and what each holds; None: this pool is
            alone.
        isolation: "worker" (a process per model) or "inline" (in this process; for tests and debugging).
        measurements: What models really need; None: the file under XDG_STATE_HOME.
        ask: Called as ``ask(needed_bytes, requester)`` when models of other processes are in the way; has idle
            ones unloaded (their pools' `free`) and returns the bytes freed. May block; called from a loading
            thread. May be set later.
        worker_factory: Starts a worker; for tests.
        clock: Monotonic seconds; for tests.
        backoff_s: See BACKOFF_S; for tests.
        settle_s: How long a load that lacks room waits for other loads to give back what they need only while they go
            on [s].
        busy_s: How long a call waits for models in use to become idle when it needs their room [s].
        supervise: False: nobody watches timers and deaths but `step`; for tests.
    """

    def __init__(
        self,
        *,
        budget_mb: float | None = None,
        group_limits: Mapping[str, int] | None = None,
        eviction: str = "weighted",
        ledger: Ledger | None = None,
        isolation: str = "worker",
        measurements: Measurements | None = None,
        ask: Callable[[int, str], int] | None = None,
        worker_factory: Callable[[ModelSpec], Worker] | None = None,
        clock: Callable[[], float] = time.monotonic,
        backoff_s: tuple[float, ...] = BACKOFF_S,
        settle_s: float = SETTLE_S,
        busy_s: float = BUSY_S,
        supervise: bool = True,
    ) -> None:
        if isolation not in ("worker", "inline"):
            raise ValueError(f"isolation is {isolation!r}, expected 'worker' or 'inline'")
        if budget_mb is not None and not budget_mb > 0:
            raise ValueError(f"budget_mb is {budget_mb}, expected more than 0")
        self._registry = Registry(
            limits=Limits(None if budget_mb is None else int(budget_mb * MB), group_limits or {}, eviction),
            ledger=ledger,
            measurements=measurements if measurements is not None else Measurements(),
            clock=clock,
            backoff_s=backoff_s,
        )
        self._unloader = Unloader(self._registry)
        self._admitter = Admitter(self._registry, self._unloader, ask, settle_s, busy_s)
        self._loader = Loader(
            self._registry,
            self._unloader,
            self._admitter,
            worker_factory or (_start_process if isolation == "worker" else _inline),
            worker_factory or _start_process,
        )
        self.dispatcher = Dispatcher(self._registry, self._loader, self._unloader)
        self.dispatcher.note_dropped = self._note_dropped
        self._growth = Growth(self._registry, self._unloader, self._admitter.ask_others)
        self._upkeep = Upkeep(self._registry, self._unloader, self.dispatcher, self._growth)
        self._closed = False
        self._closing = threading.Lock()
        self._on_gpu: set[int] = set()
        self._sampler = MemorySampler(read=self._read_memory)
        self._supervisor = Supervisor(self.step) if supervise else None
        if self._supervisor is not None:
            self._registry.wake = self._supervisor.wake

    @property
    def ask(self) -> Callable[[int, str], int] | None:
        """Has other processes free memory; see the class."""
        return self._admitter.ask

    @ask.setter
    def ask(self, ask: Callable[[int, str], int] | None) -> None:
        self._admitter.ask = ask

    @property
    def limits(self) -> Limits:
        """The limits in force: those that the ledger holds, else our own."""
        try:
            return self._registry.view()[0]
        except LedgerError as error:
            _log.warning("%s", error)
            return self._registry.own_limits

    @property
    def eviction(self) -> str:
        """Who goes to make room: "weighted" or "lru"."""
        return self.limits.eviction

    @property
    def ledger(self) -> Ledger | None:
        """What all processes of the stack hold; None if this pool is alone."""
        return self._registry.ledger

    def set_limits(self, limits: Limits) -> None:
        """Put limits in force, for the whole stack if there is a ledger; idle models over them are unloaded now.

        Models that are in use stay until they are idle. Other processes follow within a second.

        Raises:
            LedgerError: The ledger cannot be used; nothing has changed.
        """
        if self._registry.ledger is not None:
            self._registry.ledger.set_limits(limits)
        self._registry.own_limits = limits
        self._growth.trim()
        self._registry.wake()

    def acquire(self, spec: ModelSpec) -> Lease:
        """Take a lease on a model. Loads nothing and costs microseconds; never refused for lack of memory.

        Whoever takes a FAILED model that nobody holds gives it a fresh start.

        Raises:
            SpecConflict: Somebody holds a model of this name with other settings.
            LeaseReleased: The pool is closed.
        """
        with self._registry.lock:
            if self._closed:
                raise LeaseReleased("the model pool is closed")
            resident = self._registry.residents.get(spec.name)
            if spec.worker and (resident is None or not resident.held):
                self._registry.check_worker(spec)
            if resident is None:
                resident = self._registry.add(spec)
            elif resident.spec is not spec and spec not in (resident.spec, resident.declared):
                if resident.held:
                    what = resident.differs(spec)
                    raise SpecConflict(f"model {spec.name} is held already, with other settings: {what}")
                resident.respecify(spec)
            if resident.failed and not resident.leases:
                resident.forgive()
            lease = Lease(self, resident)
            resident.leases.add(lease)
            return lease

    def snapshot(self) -> list[ModelInfo]:
        """Every model that was leased here; memory is at most about a second old, the rest exact."""
        with self._registry.lock:
            rows = [one.info() for one in self._registry.residents.values()]
        infos = []
        for info in rows:
            if info.pid and info.device != "cpu":
                self._on_gpu.add(info.pid)
            sample = self._sampler.get(info.pid) if info.pid else None
            infos.append(info if sample is None else info.with_memory(sample.pss, sample.vram))
        self._on_gpu &= {info.pid for info in infos}
        return infos

    def on_change(self, callback: Callable[[], None]) -> None:
        """Have `callback()` called, from a pool thread, after models were loaded, unloaded, lost or failed.

        The flicker between IDLE and BUSY is not told: `snapshot` shows it. The callback must be quick.
        """
        self._upkeep.on_change(callback)

    def unload(self, name: str) -> ReleaseRecord | None:
        """Take a model out of memory now; its leases stay valid.

        Returns:
            What it gave back; None if it was not in memory.

        Raises:
            ResidencyError: There is no such model, or it is in use.
        """
        with self._registry.lock:
            resident = self._registry.known(name)
            if resident.gone is None and (resident.load is not None or (resident.host is not None and resident.users)):
                raise ResidencyError(f"model {name} is in use ({resident.state}): try again when it is idle")
            leaving = [resident] if resident.idle else []
            self._registry.mark_leaving(leaving)
        return self._unloader.retire(leaving, "unloaded")[0] if leaving else None

    def adjust(self, name: str, *, ttl_s: float | None = None, pinned: bool | None = None) -> None:
        """Change a model's time to live [s] or its pin while it is held, at once; who acquires it may name either.

        Raises:
            ResidencyError: There is no such model.
            ValueError: A time to live that makes no sense.
        """
        self._registry.adjust(name, ttl_s, pinned)

    def reset(self, name: str) -> None:
        """Let a FAILED model be tried again; raises ResidencyError if there is no such model."""
        with self._registry.lock:
            self._registry.known(name).forgive()
        self._registry.changed()

    def free(self, needed_bytes: int, requester: str = "") -> int:
        """Unload idle models until so much is free: another process needs it.

        Returns:
            Bytes of the budget that were freed; may be less than needed, or 0.
        """
        eviction = self.eviction
        with self._registry.lock:
            idle = [one for one in self._registry.occupants() if one.evictable]
            names = admission.choose(idle, needed_bytes, eviction, self._registry.clock())
            victims = [
                self._registry.residents[name] for name in (names if names is not None else (o.name for o in idle))
            ]
            freed = sum(one.reserved for one in victims)
            self._registry.mark_leaving(victims)
        self._unloader.retire(victims, "evicted")
        for victim in victims:
            _log.info("unloaded %s to make room for %s", victim.spec.name, requester or "another process")
        return freed

    def release(self, leases: Iterable[Lease]) -> list[ReleaseRecord | None]:
        """Release several leases at once, their workers ending in parallel; see `Lease.release`."""
        deadline = time.monotonic() + _RELEASE_S
        leases = list(leases)
        with self._registry.lock:
            ours = {id(lease): lease for lease in leases if not lease.released}
            calls = [call for lease in ours.values() for call in lease.calls]
            alone: dict[str, Resident] = {}
            for lease in ours.values():
                lease.released = True
                lease.resident.leases.discard(lease)
                if not lease.resident.leases:
                    alone[lease.spec.name] = lease.resident
            loads = [one.load for one in alone.values() if one.load is not None]
            on_their_way = [one.gone for one in alone.values() if one.gone is not None]
            leaving = [one for one in alone.values() if one.ready is not None]
            self._registry.mark_leaving(leaving)
        for call in calls:
            call.cancel(CallCancelled(f"{call.label} was cancelled: its lease was released"))
        for load in loads:
            self._loader.abort(load)
        retired = self._unloader.retire(leaving, "released", _RELEASE_S)
        wait([*on_their_way, *(load.done for load in loads)], max(0.0, deadline - time.monotonic()))
        records = dict(zip((one.spec.name for one in leaving), retired, strict=True))
        return [records.pop(lease.spec.name, None) if id(lease) in ours else None for lease in leases]

    def close(self) -> None:
        """Release everything and end every worker and thread. Leases are of no use afterwards. Idempotent."""
        with self._closing:
            with self._registry.lock:
                self._closed = True
                residents = list(self._registry.residents.values())
                leases = [lease for one in residents for lease in one.leases]
            self.release(leases)
            with self._registry.lock:
                # Loads into a shared worker, which nobody could wait for.
                hosts = [(one, one.worker) for one in self._registry.hosts.values() if one.worker is not None]
                loads = [one.load for one in residents if one.load is not None]
            for host, worker in hosts:
                worker.kill("the model pool was closed", blame=False)
                self._unloader.bury(host)
            wait([load.done for load in loads], _RELEASE_S)
            if self._supervisor is not None:
                self._supervisor.close()
            self._sampler.close()
            self._registry.unreserve(residents)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def step(self) -> Watch | None:
        """Do what is due: timers, growth, deaths, unread and forgotten streams, notices. Called by the supervisor."""
        return self._upkeep.step()

    def _read_memory(self, pid: int) -> Memory:
        figures = memory(pid)
        if pid not in self._on_gpu:
            return figures
        from bbia_ros.residency.vram import vram_bytes

        return figures._replace(vram=vram_bytes(pid))

    def _note_dropped(self, call: Call) -> None:
        self._upkeep.note_dropped(call)
        if self._supervisor is not None:
            self._supervisor.nudge()


def _start_process(spec: ModelSpec) -> Worker:
    from bbia_ros.residency.process import WorkerProcess

    threads = spec.arguments.get("threads", 0)
    return WorkerProcess.start(spec.nice, threads if isinstance(threads, int) and threads > 0 else 0)


def _inline(spec: ModelSpec) -> Worker:
    from bbia_ros.residency.inline import InlineWorker

    return InlineWorker()
