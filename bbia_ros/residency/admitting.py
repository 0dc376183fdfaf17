"""Finds room for models: evicts, waits, asks other processes, reserves; refuses when all of that is not enough."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import wait

from bbia_ros.residency import admission
from bbia_ros.residency.admission import Force
from bbia_ros.residency.errors import AdmissionRefused, Outgrown
from bbia_ros.residency.registry import Registry
from bbia_ros.residency.resident import Load, Resident
from bbia_ros.residency.spec import MB
from bbia_ros.residency.unloading import Unloader

_log = logging.getLogger(__name__)

SETTLE_S = 2.0
"""A load that lacks room waits so long for other loads to give back what they need only while they go on [s]."""
BUSY_S = 15.0
"""And so long for models in use to become idle: longer than a long answer is being written and spoken [s]."""
_LEDGER_PERIOD_S = 0.05
"""Loads of other processes are seen in the ledger only: looked at so often meanwhile [s]."""
_ROUNDS = 8
_HEADROOM = 1.1
_OVERDRAWN_S = 0.5


class Admitter:
    """Admits loads, one decision at a time.

    Args:
        registry: The pool's books.
        unloader: Evicts.
        ask: See `Pool`.
        settle_s: See SETTLE_S.
        busy_s: See BUSY_S.
    """

    def __init__(
        self,
        registry: Registry,
        unloader: Unloader,
        ask: Callable[[int, str], int] | None,
        settle_s: float = SETTLE_S,
        busy_s: float = BUSY_S,
    ) -> None:
        self._registry = registry
        self._unloader = unloader
        self._one_at_a_time = threading.Lock()
        self._settle_s, self._busy_s = settle_s, busy_s
        self.ask = ask

    def admit(self, resident: Resident, load: Load, need: int, longest_s: float = BUSY_S) -> None:
        """Make room for so many bytes and reserve them, in place of what the model has reserved already.

        Args:
            resident: The model.
            load: Its load.
            need: Bytes.
            longest_s: Wait no longer than this for others, however long the pool may [s].

        Raises:
            AdmissionRefused: It does not fit.
            LedgerError: The ledger cannot be used.
        """
        registry, spec = self._registry, resident.spec
        began = time.monotonic()
        asked = waits = False
        try:
            while True:
                with registry.lock:
                    force, settles = load.force, registry.settles
                with self._one_at_a_time:
                    plan = self._try(resident, load, need, force)
                if plan.refusal is None:
                    return
                patience = max(self._settle_s * plan.hope, self._busy_s * plan.patience)
                left = began + min(patience, longest_s) - time.monotonic()
                if plan.hope and left > 0:
                    waits = self._wait_for_room(load, settles, left, waits)
                elif plan.missing and not asked:
                    asked = True
                    self.ask_others(plan.missing, spec.name)
                elif plan.patience and left > 0:
                    waits = self._wait_for_room(load, settles, left, waits)
                else:
                    with registry.lock:
                        if load.force is force:
                            load.refused = force
                            raise plan.refusal
                    # Meanwhile somebody came who may do more.
        finally:
            with registry.lock:
                registry.waiting -= waits

    def _wait_for_room(self, load: Load, settles: int, left: float, waits: bool) -> bool:
        """Until models take less room than they did, or are idle again; returns whether it counts as waiting now."""
        registry = self._registry
        with registry.lock:
            if not waits and load.force is Force.FULL:
                # From now on who becomes idle tells it: somebody may have just before.
                registry.waiting += 1
                return True
            registry.room.wait_for(
                lambda: registry.settles != settles or load.aborted.is_set(),
                min(left, _LEDGER_PERIOD_S) if registry.ledger is not None else left,
            )
        return waits

    def _try(self, resident: Resident, load: Load, need: int, force: Force) -> admission.Plan:
        """Evict who must go and reserve; returns the plan with the refusal if that is not enough."""
        registry, spec = self._registry, resident.spec
        before, settled = resident.reserved, registry.measurements.settled_bytes(spec)
        request = admission.Request(spec.name, spec.group, need, force)
        for _ in range(_ROUNDS):
            load.check()
            limits, others = registry.view()
            with registry.lock:
                ours = [one for one in registry.occupants() if one.name != spec.name]
                if registry.waiting and force is not Force.FULL:
                    return admission.Plan(refusal=admission.refuse_queue(spec.name))
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
                    resident.reserved = before
        if plan.refusal is None:
            refusal = admission.refuse_bytes(spec.name, need, limits.budget_bytes or 0, [*ours, *others])
            plan = admission.Plan(refusal=refusal)
        return plan

    def ask_others(self, missing: int, requester: str) -> None:
        """Have other processes unload idle models; blocks."""
        if self.ask is not None:
            try:
                self.ask(missing, requester)
            except Exception:
                _log.exception("asking other processes for memory failed")

    def enlarge(self, resident: Resident, load: Load, reached: int) -> None:
        """Reserve more for a load that outgrows its admission.

        Raises:
            Outgrown: There is no more room.
        """
        registry, spec, admitted = self._registry, resident.spec, resident.reserved
        load.reached = max(load.reached, reached)
        _log.info("%s outgrows its admission while loading: %.0f of %.0f MB", spec.name, reached / MB, admitted / MB)
        with self._one_at_a_time:
            # A little more than it takes now, so that this is not for every megabyte; but nobody goes for that.
            plan = self._try(resident, load, int(reached * _HEADROOM), Force.NONE)
        if plan.refusal is not None:
            try:
                # It holds more than it may already: nobody may be waited for long.
                self.admit(resident, load, reached, _OVERDRAWN_S)
            except AdmissionRefused as refusal:
                registry.measurements.record_peak(spec, reached)
                raise Outgrown(
                    f"{refusal} (it was admitted with {admitted / MB:.0f} MB, had reached {reached / MB:.0f} MB while "
                    "it was being built, and was ended)"
                ) from refusal
