"""What a pool does in the background, step by step: timers, growth, deaths, unread streams, notices of change."""

from __future__ import annotations

import logging
import select
from collections import deque
from collections.abc import Callable

from bbia_ros.residency.call import Call
from bbia_ros.residency.dispatch import Dispatcher
from bbia_ros.residency.errors import CallCancelled
from bbia_ros.residency.growth import Growth
from bbia_ros.residency.registry import Registry
from bbia_ros.residency.resident import Resident
from bbia_ros.residency.supervisor import Watch
from bbia_ros.residency.unloading import Unloader

_log = logging.getLogger(__name__)


class Upkeep:
    """Does what is due. Owns the callbacks for changes and the notes of dropped streams."""

    def __init__(self, registry: Registry, unloader: Unloader, dispatcher: Dispatcher, growth: Growth) -> None:
        self._registry = registry
        self._unloader = unloader
        self._dispatcher = dispatcher
        self._growth = growth
        self._dropped: deque[Call] = deque()
        self._callbacks: list[Callable[[], None]] = []
        self._told = 0

    def on_change(self, callback: Callable[[], None]) -> None:
        """See `Pool.on_change`."""
        with self._registry.lock:
            self._callbacks.append(callback)

    def note_dropped(self, call: Call) -> None:
        """A stream was forgotten by its reader: cancel it at the next step. Runs in finalizers, so it takes no lock."""
        self._dropped.append(call)

    def step(self) -> Watch | None:
        """Do what is due; returns what to wait for, None when there is nothing to wait for."""
        while self._dropped:
            call = self._dropped.popleft()
            call.cancel(CallCancelled(f"{call.label} was dropped"))
        self._notify()
        idle, delays = self._expired()
        self._unloader.retire(idle, "idle")
        delays += self._dispatcher.end_unread()
        with self._registry.lock:
            hosts = [(one, one.worker) for one in self._registry.hosts.values() if one.worker is not None]
        fds = []
        for host, worker in hosts:
            if worker.dead or _readable(worker.death_fd):
                self._unloader.bury(host)
            elif worker.death_fd >= 0:
                fds.append(worker.death_fd)
        again = self._growth.check()
        if again is not None:
            delays.append(again)
        self._notify()
        with self._registry.lock:
            if not self._registry.hosts and not self._dropped and self._told == self._registry.changes:
                return None
        return Watch(fds, min(delays) if delays else None)

    def _expired(self) -> tuple[list[Resident], list[float]]:
        """Models whose time to live is over, marked as leaving, and how long the others still have [s]."""
        now = self._registry.clock()
        idle, delays = [], []
        with self._registry.lock:
            for one in self._registry.residents.values():
                if one.ready is None or one.spec.ttl_s == 0 or one.spec.pinned:
                    continue
                left = one.spec.ttl_s if one.users else max(one.idle_since + one.spec.ttl_s, one.safe_until) - now
                if left <= 0 and self._registry.evictable(one):
                    idle.append(one)
                else:
                    # Over already, but a neighbour keeps the shared worker busy: look again soon.
                    delays.append(left if left > 0 else 0.2)
            self._registry.mark_leaving(idle)
        return idle, delays

    def _notify(self) -> None:
        with self._registry.lock:
            if self._told == self._registry.changes:
                return
            self._told = self._registry.changes
            callbacks = list(self._callbacks)
        for callback in callbacks:
            try:
                callback()
            except Exception:
                _log.exception("a callback for changes of the model pool failed")


def _readable(fd: int) -> bool:
    """Whether a pidfd tells that its process has ended; False for one that was closed meanwhile."""
    if fd < 0:
        return False
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return any(events & select.POLLIN for _, events in poll.poll(0))
