"""What the parts of a pool share: the models, their workers, the limits. Starts and ends nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from bbia_ros.residency.admission import Occupant
from bbia_ros.residency.errors import LedgerError, ResidencyError, SpecConflict
from bbia_ros.residency.ledger import Ledger, occupants_elsewhere
from bbia_ros.residency.limits import Limits
from bbia_ros.residency.measurements import Measurements
from bbia_ros.residency.resident import Host, Resident
from bbia_ros.residency.spec import ModelSpec

_log = logging.getLogger(__name__)
_KEPT_NAMES = 64
_RECENT_S = 5.0
"""Who was used within this time is probably used again: no prefetch takes it [s]."""


class Registry:
    """The books of one pool. Its fields, and those of its residents and hosts, are guarded by `lock`.

    Nobody holds the lock while he waits for a process, a file or a callback.
    """

    def __init__(
        self,
        *,
        limits: Limits,
        ledger: Ledger | None,
        measurements: Measurements,
        clock: Callable[[], float],
        backoff_s: tuple[float, ...],
    ) -> None:
        self.lock = threading.Lock()
        self.room = threading.Condition(self.lock)
        """Notified when models take less room than before, or are idle again while somebody waits."""
        self.residents: dict[str, Resident] = {}
        self.hosts: dict[str, Host] = {}
        self.changes = 0
        self.settles = 0
        """Counts the notifications of `room`."""
        self.waiting = 0
        """Calls that wait for room: meanwhile nobody gets in who may do less to others."""
        self.wake: Callable[[], None] = lambda: None
        self.own_limits = limits
        self.ledger = ledger
        self.measurements = measurements
        self.clock = clock
        self.backoff_s = backoff_s

    def view(self) -> tuple[Limits, list[Occupant]]:
        """The limits in force and what the other processes hold; reads the ledger, so without the lock.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        if self.ledger is None:
            return self.own_limits, []
        limits, entries = self.ledger.read()
        return limits or self.own_limits, occupants_elsewhere(entries, self.ledger)

    def known(self, name: str) -> Resident:
        """The model of this name, or ResidencyError; with the lock held."""
        resident = self.residents.get(name)
        if resident is None:
            raise ResidencyError(f"there is no model {name!r} here; known are {', '.join(self.residents) or 'none'}")
        return resident

    def check_worker(self, spec: ModelSpec) -> None:
        """See that those who share the worker of these settings agree with them; with the lock held.

        Raises:
            SpecConflict: They do not.
        """
        if spec.worker:
            for one in self.residents.values():
                shared = one.spec.name != spec.name and one.held and one.spec.worker == spec.worker
                if shared and one.spec.nice != spec.nice:
                    raise SpecConflict(
                        f"models {one.spec.name} and {spec.name} claim one worker, {spec.worker}, with niceness "
                        f"{one.spec.nice} and {spec.nice}: give them the same one, or workers of their own"
                    )

    def add(self, spec: ModelSpec) -> Resident:
        """Enter a new model, forgetting the history of one that nobody holds if there are many; lock held."""
        if len(self.residents) >= _KEPT_NAMES:
            for name, one in list(self.residents.items()):
                if not one.leases and not one.users and one.host is None and one.load is None and one.gone is None:
                    del self.residents[name]
                    break
        resident = self.residents[spec.name] = Resident(spec)
        return resident

    def occupants(self) -> list[Occupant]:
        """Models of this pool that take room, those being loaded included; with the lock held."""
        now = self.clock()
        return [
            Occupant(
                name=one.spec.name,
                group=one.spec.group,
                size=one.reserved,
                last_used=one.idle_since,
                evictable=self.evictable(one),
                state=f"{one.state}, pinned" if one.spec.pinned else str(one.state),
                settled=one.reserved if one.host is not None else min(one.settled, one.reserved),
                reload_s=one.reload_s,
                guarded=now < one.safe_until,
                recent=one.last_used is not None and now - one.last_used < _RECENT_S,
                background=one.spec.background,
                busy=one.gone is None and not one.spec.pinned and not self.evictable(one),
            )
            for one in self.residents.values()
            if one.reserved
        ]

    def evictable(self, resident: Resident) -> bool:
        """Whether it may go now: idle, not pinned, and no neighbour keeps its shared worker busy; lock held."""
        return resident.idle and not resident.spec.pinned and not self._neighbour_busy(resident)

    def _neighbour_busy(self, resident: Resident) -> bool:
        host = resident.host
        if host is None or len(host.models) == 1:
            return False
        neighbours = [self.residents[name] for name in host.models if name in self.residents]
        return any(one.users > 0 or one.host is not host for one in neighbours)

    def mark_leaving(self, residents: Iterable[Resident]) -> None:
        """From now on nobody gets these models' workers; with the lock held."""
        for one in residents:
            one.gone = Future()
            one.gone.set_running_or_notify_cancel()

    def changed(self) -> None:
        """Have the callbacks for changes called soon."""
        with self.lock:
            self.changes += 1
        self.wake()

    def reserve(self, resident: Resident, limits: Limits) -> bool:
        """Enter a model that is about to load in the ledger; False if another process was quicker.

        Raises:
            LedgerError: The ledger cannot be used.
        """
        spec = resident.spec
        return self.ledger is None or self.ledger.reserve(
            spec.name,
            resident.reserved,
            limits.budget_bytes,
            task=spec.task,
            group=spec.group,
            group_limit=limits.groups.get(spec.group),
            settled=resident.settled,
        )

    def tell_waiting(self) -> None:
        """A model takes less room, or is idle again: who waits for room looks anew; with the lock held."""
        self.settles += 1
        self.room.notify_all()

    def unreserve(self, residents: Iterable[Resident]) -> None:
        """These models take no room any more."""
        with self.lock:
            freed = [one for one in residents if one.reserved]
            for one in freed:
                one.reserved = 0
            self.tell_waiting()
        if self.ledger is not None and freed:
            try:
                self.ledger.release([one.spec.name for one in freed])
            except LedgerError as error:
                # Our entries are written again with the next change, or dropped with our process.
                _log.warning("%s", error)

    def settle(self, resident: Resident, size: int) -> None:
        """This model is loaded and takes so much from now on."""
        with self.lock:
            resident.reserved = size
            self.tell_waiting()
        if self.ledger is not None:
            try:
                self.ledger.settle(resident.spec.name, size, "loaded, pinned" if resident.spec.pinned else "loaded")
            except LedgerError as error:
                # The reservation, which is not smaller, stays.
                _log.warning("%s", error)

    def adjust(self, name: str, ttl_s: float | None, pinned: bool | None) -> None:
        """See `Pool.adjust`."""
        changes: dict[str, Any] = {"ttl_s": ttl_s, "pinned": pinned}
        with self.lock:
            resident = self.known(name)
            resident.spec = replace(resident.spec, **{key: one for key, one in changes.items() if one is not None})
            loaded = resident.reserved if resident.host is not None else 0
        if loaded:
            self.settle(resident, loaded)
        self.changed()
