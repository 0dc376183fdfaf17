"""Exchanges the model of a slot: the new one first if both fit, else the old one goes first."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Protocol

from bbia_ros.residency.errors import (
    AdmissionRefused,
    LeaseReleased,
    LedgerError,
    LoadFailed,
    ModelFailed,
    ResidencyError,
    SpecConflict,
    SwapFailed,
)
from bbia_ros.residency.lease import Lease
from bbia_ros.residency.spec import ModelInfo, ModelSpec, ModelState, ReleaseRecord
from bbia_ros.residency.tenancy import Tenancy, Tenant
from bbia_ros.residency.variants import Move, Swap, Variant

_log = logging.getLogger(__name__)
_UNFIT = (AdmissionRefused, LoadFailed, ModelFailed, SpecConflict, LedgerError)
"""What rules one candidate out, and not the whole exchange."""

_ENDING_S, _RETRY_S = 1.0, 0.02
"""A call that was given up leaves its worker within 0.3 s; how long and how often that is looked at [s]."""


class Models(Protocol):
    """What a slot needs of the pool."""

    def acquire(self, spec: ModelSpec) -> Lease:
        """Take a lease."""

    def unload(self, name: str) -> ReleaseRecord | None:
        """Take an idle model out of memory; its leases stay."""

    def snapshot(self) -> list[ModelInfo]:
        """Every model that was leased."""

    def release(self, leases: Iterable[Lease]) -> list[ReleaseRecord | None]:
        """Give leases back."""


class Swapper:
    """Carries out moves, each in a thread of its own that ends with it; the last one that was asked for wins.

    A model that is exchanged is never taken away from a call: calls and streams in flight end first. A call that
    comes while neither model can take it waits for the exchange, within its own timeout.

    Args:
        pool: Where the models are.
        books: Of the slot.
        patience_s: How long a swap waits for what is in flight on the old model [s].
        told: Called, with no lock held, when the model in use or the reason for it has changed.
    """

    def __init__(self, pool: Models, books: Tenancy, patience_s: float, told: Callable[[], None]) -> None:
        self._pool, self._books, self._patience_s, self._told = pool, books, patience_s, told

    def start(self, move: Move) -> None:
        """Supersede what goes on, and begin; with the books' lock held."""
        before, self._books.move = self._books.move, move
        if before is not None:
            move.hot |= before.hot
        self._books.changed.notify_all()
        threading.Thread(
            target=self._run, args=(move, before), name=f"bbia-swap-{self._books.variants.task}", daemon=True
        ).start()

    def resident(self, tenant: Tenant) -> bool:
        """Whether this model is in memory, on its way there, or somebody waits for it."""
        states = (ModelState.LOADING, ModelState.IDLE, ModelState.BUSY)
        name = tenant.variant.spec.name
        return tenant.users > 0 or any(one.name == name and one.state in states for one in self._pool.snapshot())

    # --- one move, in its thread -------------------------------------------------------------------------

    def _run(self, move: Move, before: Move | None) -> None:
        books = self._books
        began = time.monotonic()
        old: Tenant | None = None
        swap: Swap | None = None
        error: ResidencyError | None = None
        try:
            if before is not None:
                self._wait(move, lambda: before.over)
            old = books.tenant
            new, refusals = self._exchange(move, old)
            swap = Swap(old.name, new.name, self._words(move, old, new, refusals))
        except ResidencyError as caught:
            error = caught
        except Exception as caught:  # whatever it is, who asked must hear of it
            _log.exception("%s failed", move.label)
            error = SwapFailed(f"{move.label} failed: {type(caught).__name__}: {caught}")
        ready = time.monotonic() - began
        with books.changed:
            move.over = True
            if books.move is move:
                books.move, books.handover = None, ""
            books.changed.notify_all()
        self._told()
        if swap is None or old is None:
            assert error is not None
            move.future.set_exception(error)
        else:
            self._see_off(move, old, swap, ready)

    def _exchange(self, move: Move, old: Tenant) -> tuple[Tenant, list[ResidencyError]]:
        """Put the first candidate that can be loaded in the old one's place; it, and why others were not.

        Raises:
            SwapFailed: None could; the old one is in use again.
            SwapSuperseded, LeaseReleased: It is not wanted any more.
        """
        refusals: list[ResidencyError] = []
        for variant in move.candidates:
            if variant.name == old.name:
                break
            try:
                return self._replace(move, old, variant, refusals), refusals
            except _UNFIT as error:
                refusals.append(error)
        if not refusals:
            # Back to the one that a superseded move was about to replace.
            self._bring_back(move, old)
            with self._books.changed:
                self._books.wanted, self._books.shortage = move.wanted, ""
            return old, refusals
        because = "; ".join(str(error) for error in refusals)
        if not move.asked:
            raise SwapFailed(because)
        trouble = self._bring_back(move, old)
        if trouble is None:
            raise SwapFailed(f"{self._books.variants.task} still uses {old.name}: {because}")
        task = self._books.variants.task
        raise SwapFailed(f"{task} is back at {old.name}, which could not be loaded again yet ({trouble}); {because}")

    def _replace(self, move: Move, old: Tenant, variant: Variant, refusals: list[ResidencyError]) -> Tenant:
        books = self._books
        with books.changed:
            self._check(move)
            new = Tenant(variant, self._pool.acquire(variant.spec))
            books.others.add(new)
        try:
            if move.hot:
                self._load_beside(move, old, new)
            with books.changed:
                self._check(move)
                books.install(new, move.wanted, move.reason or "; ".join(str(error) for error in refusals))
        except BaseException:
            with books.changed:
                books.others.discard(new)
            new.lease.release()
            raise
        return new

    def _load_beside(self, move: Move, old: Tenant, new: Tenant) -> None:
        """Load the new model while the old one answers; if only one fits, after it."""
        if move.asked:
            try:
                self._load(move, new, evict=False)
                return
            except AdmissionRefused:
                pass  # not both, then
        self._empty(move, old, new)
        self._load(move, new, evict=True)

    def _empty(self, move: Move, old: Tenant, new: Tenant) -> None:
        """Hold new calls back, let those in flight end, and take the old model out of memory. Its lease stays.

        Raises:
            SwapFailed: Something on it does not end.
        """
        books = self._books
        with books.changed:
            self._check(move)
            books.handover = f"{books.variants.task} to be handed over from {old.name} to {new.name}"
        if not books.wait_until_drained(old, lambda: self._check(move), self._patience_s):
            raise SwapFailed(
                f"{books.variants.task} still uses {old.name}: its calls in flight did not end within "
                f"{self._patience_s:g} s, and {new.name} does not fit beside it"
            )
        move.emptied = True
        deadline = time.monotonic() + _ENDING_S
        while True:
            try:
                record = self._pool.unload(old.variant.spec.name)
            except ResidencyError as error:
                # A stream that was dropped is still being ended, or another holder uses it; the load will tell.
                if time.monotonic() > deadline:
                    _log.info("%s: %s", move.label, error)
                    return
            else:
                move.released_bytes += record.returned_bytes if record is not None else 0
                return
            with books.changed:
                self._check(move)
                books.changed.wait(_RETRY_S)

    def _bring_back(self, move: Move, old: Tenant) -> ResidencyError | None:
        """Load the old model again if it was taken out of memory; why that did not work, or None."""
        if not move.hot or not (move.emptied or self._books.handover):
            return None
        try:
            self._load(move, old, evict=True)
        except _UNFIT as error:
            return error
        return None

    def _load(self, move: Move, tenant: Tenant, evict: bool) -> None:
        loading: Future[None] = tenant.lease.preload(evict=evict)
        loading.add_done_callback(self._books.notify)
        self._wait(move, loading.done)
        loading.result()

    def _see_off(self, move: Move, old: Tenant, swap: Swap, ready_s: float) -> None:
        """Release the old model when its last call has ended, and tell who asked."""
        books = self._books
        if swap.now == swap.before:
            move.future.set_result(Swap(swap.before, swap.now, swap.message, 0, ready_s))
            return
        told = False

        def gone() -> None:
            if books.released:
                raise LeaseReleased("")

        try:
            if not books.wait_until_drained(old, gone, self._patience_s):
                words = f"{swap.message}; {old.name} goes when its last answer has ended"
                move.future.set_result(Swap(swap.before, swap.now, words, move.released_bytes, ready_s))
                told = True
                books.wait_until_drained(old, gone, None)
        except LeaseReleased:
            pass  # who released the slot released the old model too
        with books.changed:
            books.others.discard(old)
        record = old.lease.release()
        if record is not None:
            move.released_bytes += record.returned_bytes
            _log.info("%s: %s", record.name, record)
        self._told()
        if not told:
            words = swap.message
            if move.released_bytes:
                words += f"; {old.name} released {move.released_bytes / 1e6:.1f} MB"
            move.future.set_result(Swap(swap.before, swap.now, words, move.released_bytes, ready_s))

    def _words(self, move: Move, old: Tenant, new: Tenant, refusals: list[ResidencyError]) -> str:
        task = self._books.variants.task
        if new is old:
            return f"{task} uses {new.name} already"
        words = f"{task} uses {new.name} instead of {old.name}"
        if not move.hot:
            words += " from its next use on; nothing was in memory"
        return "; ".join([words, *(str(error) for error in refusals)])

    # --- waiting -----------------------------------------------------------------------------------------

    def _check(self, move: Move) -> None:
        error = self._books.why(move)
        if error is not None:
            raise error

    def _wait(self, move: Move, condition: Callable[[], bool]) -> None:
        with self._books.changed:
            while True:
                self._check(move)
                if condition():
                    return
                self._books.changed.wait()
