"""Takes models out of memory: in order, or after their worker died."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence

from bbia_ros.residency.errors import ResidencyError, WorkerDied
from bbia_ros.residency.registry import Registry
from bbia_ros.residency.resident import Host, Resident
from bbia_ros.residency.spec import ReleaseRecord

_log = logging.getLogger(__name__)

END_GRACE_S = 0.3
"""A worker that was asked to end and has not by then is ended by force."""
_BURIAL_S = 6.0
_LEAK_SHARE = 1 / 3
_LEAK_BYTES = 8_000_000
"""A model in our own process that keeps more than this share and more than this of what it held is leaking: smaller
rests are the allocator's, and what others allocate meanwhile."""


class Unloader:
    """Ends workers, writes release records, keeps the books straight."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def retire(
        self, residents: Sequence[Resident], reason: str, patience_s: float | None = None
    ) -> list[ReleaseRecord | None]:
        """Unload models that were marked as leaving; their workers end in parallel.

        A worker is gone within 0.5 s. A model that leaves a shared worker has to wait for its neighbour's call.

        Args:
            residents: The models.
            reason: For the records.
            patience_s: Wait no longer than this; what is not done then goes on in the background.

        Returns:
            The records; None for what is not done yet.
        """
        registry = self._registry
        hosts: dict[str, tuple[Host, list[Resident]]] = {}
        with registry.lock:
            for one in residents:
                if one.host is not None:
                    one.host.models.discard(one.spec.name)
                    hosts.setdefault(one.host.key, (one.host, []))[1].append(one)
            jobs = [(host, leaving, not host.models) for host, leaving in hosts.values()]
            for host, _, ends in jobs:
                if ends and registry.hosts.get(host.key) is host:
                    del registry.hosts[host.key]
        records: dict[str, ReleaseRecord] = {}
        # The last one is done here, unless it may take longer than we have.
        here = [job for job in jobs if job[2] or patience_s is None][-1:]
        threads = [
            threading.Thread(target=self._retire_from, args=(*job, reason, records), name="bbia-unload", daemon=True)
            for job in jobs
            if job not in here
        ]
        deadline = None if patience_s is None else time.monotonic() + patience_s
        for thread in threads:
            thread.start()
        for job in here:
            self._retire_from(*job, reason, records)
        for thread in threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return [records.get(one.spec.name) for one in residents]

    def _retire_from(
        self, host: Host, leaving: list[Resident], ends: bool, reason: str, records: dict[str, ReleaseRecord]
    ) -> None:
        """Unload models of one worker, or end it if they are the last ones in it."""
        registry, worker = self._registry, host.worker
        assert worker is not None
        began = time.monotonic()
        held = {one.spec.name: one.reserved for one in leaving}
        back = dict.fromkeys(held, 0)
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
        leaking: list[str] = []
        with registry.lock:
            for one in leaving:
                name = one.spec.name
                one.end_row(registry.clock())
                one.last_release = records[name] = ReleaseRecord(name, reason, held[name], back[name], duration)
                one.evictions += reason in ("evicted", "idle")
                leaks = worker.inline and held[name] - back[name] > max(held[name] * _LEAK_SHARE, _LEAK_BYTES)
                news = leaks and not one.leaking
                one.leaking = one.leaking or leaks
                if news:
                    leaking.append(name)
        for name in leaking:
            _log.warning("%s leaks in this process: %s; it gets a worker from its next load on", name, records[name])
        for one in leaving:
            if ends and len(leaving) == 1 and held[one.spec.name]:
                registry.measurements.record_use(one.spec, held[one.spec.name])
            _log.info("%s (%s): %s", one.spec.name, reason, records[one.spec.name])
        self._gone(leaving, host)
        if worker.dead and not ends:
            self.bury(host)
        registry.changed()

    def bury(self, host: Host) -> None:
        """A worker was found dead: its models are absent, their users hear of it, the failure counts.

        May be called by everybody who notices; the first one does it, the others wait until it is done, so that
        nobody tells of the death before the books do.
        """
        registry, worker = self._registry, host.worker
        assert worker is not None
        with registry.lock:
            begun = host.buried
            if begun is None:
                if registry.hosts.get(host.key) is not host:
                    # Ended on purpose.
                    return
                buried = host.buried = threading.Event()
                del registry.hosts[host.key]
                here = [one for one in registry.residents.values() if one.host is host]
                # Until all is cleaned up, the next use waits instead of calling a dead worker.
                registry.mark_leaving(one for one in here if one.gone is None)
                # Those that come from now on wait for the reload: they are no part of this death.
                calls = [call for one in here for lease in one.leases for call in lease.calls if call.counted]
                # If it died of a load, its other models are not to blame.
                loading = len(host.models) > len(here)
                guilty = [one for one in here if one.users] or ([] if loading else here)
        if begun is not None:
            begun.wait(_BURIAL_S)
            return
        error = worker.bury()
        if not worker.blameless:
            with registry.lock:
                for one in guilty:
                    one.note_failure(str(error), registry.clock(), registry.backoff_s)
        self._gone(here, host)
        buried.set()
        if not worker.blameless:
            # If it was killed for a cancel, who waited for his turn goes to the next worker instead.
            for call in calls:
                call.cancel(WorkerDied(f"{call.label}: {error}"))
        log = _log.info if worker.blameless else _log.warning
        log("%s: %s", ", ".join(one.spec.name for one in here) or host.key, error)
        registry.changed()

    def _gone(self, residents: Sequence[Resident], host: Host) -> None:
        """Models are out of memory: tell the ledger, then whoever waits for it."""
        registry = self._registry
        with registry.lock:
            # Who was told already may have been loaded anew meanwhile.
            residents = [one for one in residents if one.host is host]
            for one in residents:
                one.host = None
        registry.unreserve(residents)
        with registry.lock:
            gone = [one.gone for one in residents if one.gone is not None]
            for one in residents:
                one.gone = None
        for future in gone:
            future.set_result(None)


def _share(sizes: Mapping[str, int], held: int, back: int) -> tuple[dict[str, int], dict[str, int]]:
    """Share what a worker held and gave back among its models, by what each of them counted for."""
    if len(sizes) == 1:
        return dict.fromkeys(sizes, held), dict.fromkeys(sizes, back)
    total = sum(sizes.values()) or 1
    return (
        {name: held * size // total for name, size in sizes.items()},
        {name: back * size // total for name, size in sizes.items()},
    )
