"""The books of a slot: which model answers its calls, who comes, who goes. Loads and releases nothing."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from bbia_ros.residency.errors import BeingSwapped, CallCancelled, LeaseReleased, ResidencyError, SwapSuperseded
from bbia_ros.residency.lease import Lease
from bbia_ros.residency.variants import Move, Variant, Variants

_NOTES_S = 0.2
"""Streams that were forgotten by their readers are counted out this often while somebody waits for them [s]."""


class Tenant:
    """One model of the slot, with its lease. Guarded by the tenancy's condition.

    Attributes:
        variant: The model.
        lease: On it.
        users: Calls and open streams that go through this lease.
    """

    def __init__(self, variant: Variant, lease: Lease) -> None:
        self.variant, self.lease = variant, lease
        self.users = 0

    @property
    def name(self) -> str:
        """Of the variant."""
        return self.variant.name


class Tenancy:
    """Guarded by `changed`, which is notified whenever somebody who waits should look again.

    The pool's lock may be taken while `changed` is held, never the other way round.

    Attributes:
        changed: The slot's lock and event.
        variants: What may be in use.
        tenant: What is in use.
        others: Tenants that are being loaded, or that still answer somebody.
        wanted: Variant that shall be in use; another one is only where memory did not suffice.
        shortage: Why another one is in use; empty if none is.
        move: The exchange that goes on; None: none does.
        handover: What calls wait for, in words, while no model is there to take them; empty: they go through.
        cancels: How often all calls were cancelled.
        released: Nothing goes through any more.
    """

    def __init__(self, variants: Variants, tenant: Tenant) -> None:
        self._lock = threading.RLock()
        self.changed = threading.Condition(self._lock)
        self.variants = variants
        self.tenant = tenant
        self.others: set[Tenant] = set()
        self.wanted = tenant.name
        self.shortage = ""
        self.move: Move | None = None
        self.handover = ""
        self.cancels = 0
        self.released = False
        self._forgotten: deque[Tenant] = deque()

    def enter(self, label: str, timeout_s: float, cancels: int, stopped: Callable[[], bool] | None = None) -> Tenant:
        """Count a call as user of the model in use, once there is one.

        Args:
            label: Of the call.
            timeout_s: Longest wait for an exchange [s].
            cancels: `self.cancels` when the call was made.
            stopped: Whether this call alone was cancelled.

        Raises:
            BeingSwapped: The exchange took too long for this call.
            CallCancelled: It was cancelled.
            LeaseReleased: The slot was released.
        """
        with self._lock:
            if self.handover or self.released or self.cancels != cancels or stopped is not None:
                self.wait(lambda: not self.handover, label, timeout_s, cancels, stopped)
            self.tenant.users += 1
            return self.tenant

    def wait(
        self,
        condition: Callable[[], bool],
        label: str,
        timeout_s: float,
        cancels: int,
        stopped: Callable[[], bool] | None = None,
    ) -> None:
        """Have a call wait until an exchange has come so far; with `changed` held. Raises as `enter`."""
        deadline = time.monotonic() + timeout_s
        while True:
            if self.released:
                raise LeaseReleased(f"{label}: the lease was released")
            if self.cancels != cancels or (stopped is not None and stopped()):
                raise CallCancelled(f"{label} was cancelled")
            if condition():
                return
            left = deadline - time.monotonic()
            if left <= 0:
                raise BeingSwapped(f"{label} waited {timeout_s:g} s for {self.handover or 'another model'}: try again")
            self.changed.wait(left)

    def leave(self, tenant: Tenant) -> None:
        """A call is over."""
        with self._lock:
            tenant.users -= 1
            if tenant.users == 0 and (tenant is not self.tenant or self.move is not None):
                self.changed.notify_all()

    def forget(self, tenant: Tenant) -> None:
        """A stream is over because nobody knows it any more. Runs in finalizers, so it takes no lock."""
        self._forgotten.append(tenant)

    def drained(self, tenant: Tenant) -> bool:
        """Whether nobody uses this tenant any more; with `changed` held."""
        while self._forgotten:
            self._forgotten.popleft().users -= 1
        return tenant.users == 0

    def wait_until_drained(self, tenant: Tenant, check: Callable[[], object], patience_s: float | None) -> bool:
        """Wait for a tenant's last call to end.

        Args:
            tenant: The one.
            check: Called with `changed` held whenever something happened; raises to end the wait.
            patience_s: Longest wait [s]; None: no limit.

        Returns:
            Whether it has ended.
        """
        deadline = None if patience_s is None else time.monotonic() + patience_s
        with self.changed:
            while True:
                check()
                if self.drained(tenant):
                    return True
                left = _NOTES_S if deadline is None else min(_NOTES_S, deadline - time.monotonic())
                if left <= 0:
                    return False
                self.changed.wait(left)

    def notify(self, _: Any = None) -> None:
        """Something happened that somebody may wait for."""
        with self.changed:
            self.changed.notify_all()

    def install(self, tenant: Tenant, wanted: str, shortage: str) -> Tenant:
        """Have this tenant take the calls from now on; with `changed` held. Returns the one before."""
        before = self.tenant
        self.others.discard(tenant)
        self.others.add(before)
        self.tenant, self.wanted, self.handover = tenant, wanted, ""
        self.shortage = shortage if tenant.name != wanted else ""
        self.changed.notify_all()
        return before

    def why(self, move: Move) -> ResidencyError | None:
        """Why a move must not go on; None: it may. With `changed` held."""
        if self.released:
            return LeaseReleased(f"{move.label}: the lease was released")
        if self.move is not move:
            later = self.move.label if self.move is not None else "another one"
            return SwapSuperseded(f"{move.label} was superseded by {later}")
        return None
