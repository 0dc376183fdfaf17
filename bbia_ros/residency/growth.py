"""Keeps the stack within its limits when models grow in use and when limits are lowered."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from bbia_ros.residency import admission
from bbia_ros.residency.admission import Occupant
from bbia_ros.residency.errors import LedgerError
from bbia_ros.residency.ledger import LEAVING, LedgerEntry, occupants_elsewhere
from bbia_ros.residency.limits import Limits
from bbia_ros.residency.registry import Registry
from bbia_ros.residency.resident import Host, Resident
from bbia_ros.residency.spec import MB
from bbia_ros.residency.unloading import Unloader

_log = logging.getLogger(__name__)

CHECK_S = 0.5
"""How often workers are compared with their reservations: with the time that it takes to make room, the stack is over
its budget for less than a second unless nothing may go [s]."""
_URGENT_S = 0.2
"""The same while it is over its budget: what becomes idle goes at once [s]."""
_NEWS_SHARE = 0.01
_NEWS_BYTES = 1_000_000
_ASK_AGAIN_S = 5.0


class Growth:
    """Compares what workers take with what they were admitted with, and the stack with its limits.

    Owns the state of being over the limits, and a thread while another process is asked.

    Args:
        registry: The pool's books.
        unloader: Evicts.
        ask: Has idle models of other processes unloaded; see `Pool`.
    """

    def __init__(self, registry: Registry, unloader: Unloader, ask: Callable[[int, str], object]) -> None:
        self._registry = registry
        self._unloader = unloader
        self._ask = ask
        self._due = float("-inf")
        self._version: object = None
        self._watched: set[Host] = set()
        self._over = 0
        self._crowded = False
        self._asked_at = float("-inf")

    def check(self) -> float | None:
        """Look if it is time to; returns when to come again [s], None if there is nothing to watch."""
        registry = self._registry
        with registry.lock:
            hosts = [one for one in registry.hosts.values() if one.worker is not None]
        if not hosts:
            self._over, self._crowded = 0, False
            self._watched.clear()
            return None
        now = registry.clock()
        if now < self._due:
            return self._due - now
        version = registry.ledger.version() if registry.ledger is not None else None
        # What the workers that are gone shared with others may be private to one of those now.
        exact = version != self._version or not self._watched <= set(hosts)
        self._watched = set(hosts)
        grown = [one for one in (self._grown(host, exact) for host in hosts) if one is not None]
        if grown or self._over or self._crowded or version != self._version:
            self.trim()
            self._report(grown)
            self._version = registry.ledger.version() if registry.ledger is not None else None
        delay = _URGENT_S if self._over or self._crowded else CHECK_S
        self._due = registry.clock() + delay
        return delay

    def trim(self) -> int:
        """Unload idle models as long as the stack is over its limits; returns the bytes of the budget that they free.

        Processes that notice it at the same time decide one after the other: what one of them lets go counts as gone
        for the next.
        """
        victims: list[Resident] = []
        registry = self._registry

        def choose(limits: Limits | None, entries: Sequence[LedgerEntry]) -> Iterable[str]:
            others = occupants_elsewhere([one for one in entries if one.state != LEAVING], registry.ledger)
            with registry.lock:
                victims.extend(self._over_limits(limits or registry.own_limits, others))
                registry.mark_leaving(victims)
            return [one.spec.name for one in victims]

        try:
            if registry.ledger is not None:
                registry.ledger.retire(choose)
            else:
                choose(None, [])
        except LedgerError as error:
            _log.warning("%s", error)
        freed = sum(one.reserved for one in victims)
        self._unloader.retire(victims, "evicted")
        return freed

    def _over_limits(self, limits: Limits, others: Sequence[Occupant]) -> list[Resident]:
        """Idle models to unload, and note what is over the limits without them; with the lock held."""
        registry = self._registry
        ours = [one for one in registry.occupants() if registry.residents[one.name].gone is None]
        going = admission.excess_members(ours, others, limits)
        staying = [one for one in ours if one.name not in going]
        excess = admission.shortage([*staying, *others], 0, limits.budget_bytes)
        idle = [one for one in staying if one.evictable]
        chosen = admission.choose(idle, excess, limits.eviction, registry.clock())
        going += [one.name for one in idle] if chosen is None else chosen
        stay = [*(one for one in ours if one.name not in going), *others]
        self._over = admission.shortage(stay, 0, limits.budget_bytes)
        self._crowded = any(sum(one.group == group for one in stay) > limit for group, limit in limits.groups.items())
        return [registry.residents[name] for name in going]

    def _grown(self, host: Host, exact: bool) -> Resident | None:
        """The model of this worker whose reservation was raised because the worker takes more; None: all is well."""
        registry, worker = self._registry, host.worker
        assert worker is not None
        with registry.lock:
            here = [one for one in registry.residents.values() if one.host is host and one.gone is None]
            if len(here) < len(host.models) or not here:
                # A load goes on, which is watched by its own thread; or an unload.
                return None
            reserved = sum(one.reserved for one in here)
        private = worker.private_over(reserved + max(int(reserved * _NEWS_SHARE), _NEWS_BYTES), exact)
        if not private:
            return None
        with registry.lock:
            # Several in one worker cannot be told apart: who was used last has grown.
            grown = max(here, key=lambda one: (one.users > 0, one.idle_since))
            if grown.host is not host or grown.gone is not None:
                return None
            size = grown.reserved + private - reserved
        _log.debug("%s has grown from %.1f to %.1f MB in use", grown.spec.name, grown.reserved / MB, size / MB)
        registry.settle(grown, size)
        return grown

    def _report(self, grown: Sequence[Resident]) -> None:
        """Over the budget though all idle models went: ask other processes, and tell once per growth."""
        over, now = self._over, time.monotonic()
        if not over:
            return
        if grown:
            with self._registry.lock:
                ours = self._registry.occupants()
            _log.warning(
                "the models are %.0f MB over the budget since %s has grown, and none of this process may go: %s",
                over / MB,
                ", ".join(one.spec.name for one in grown),
                admission.who(ours),
            )
        if now - self._asked_at >= _ASK_AGAIN_S:
            self._asked_at = now
            who = grown[0].spec.name if grown else "the budget"
            threading.Thread(target=self._ask, args=(over, who), name="bbia-ask", daemon=True).start()
