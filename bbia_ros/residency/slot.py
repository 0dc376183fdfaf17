"""The model of a task, which can be exchanged for another while calls come in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Protocol

from bbia_ros.residency.errors import AdmissionRefused, LeaseReleased, ResidencyError, SwapFailed, UnknownVariant
from bbia_ros.residency.lease import Lease
from bbia_ros.residency.slot_stream import SlotStream
from bbia_ros.residency.spec import ModelSpec, ReleaseRecord
from bbia_ros.residency.swapping import Models, Swapper
from bbia_ros.residency.tenancy import Tenancy, Tenant
from bbia_ros.residency.variants import Move, Swap, Variant, Variants

PATIENCE_S = 30.0
"""How long a swap waits for the calls in flight on the model that goes [s]."""


class AdjustablePool(Models, Protocol):
    """A pool whose models' time to live and pin can be changed while they are held."""

    def adjust(self, name: str, *, ttl_s: float, pinned: bool) -> None:
        """Change a model that was leased."""


class ModelSlot:
    """The right to call the model of a task, whichever of its variants that is just now. Thread-safe.

    Used like a `Lease`: call, stream, preload, prefetch, cancel, release. Beyond that, `use` exchanges the model.
    The new one is loaded first if both fit; else the old one's calls end, it goes, and the new one is loaded, while
    calls that come in between wait within their timeouts. If the new one cannot be loaded the old one is in use again.
    Nothing in flight is cancelled by a swap.

    A model that is refused for lack of memory when it is called is replaced by the next smaller variant that fits, and
    the call goes there. `use` brings the larger one back.

    Args:
        pool: Where the models are.
        task: For messages.
        variants: Best first.
        start: Name of the one in use at first; empty: the best.
        unavailable: Variants that cannot be used on this machine, with the reason.
        on_change: Called, from any thread and with no lock held, when the model in use or `notice` has changed.
        patience_s: How long a swap waits for calls in flight [s].
    """

    def __init__(
        self,
        pool: AdjustablePool,
        task: str,
        variants: Sequence[Variant],
        *,
        start: str = "",
        unavailable: Mapping[str, str] | None = None,
        on_change: Callable[[], None] = lambda: None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._pool = pool
        listed = Variants(task, variants, unavailable)
        first = listed.find(start)
        self._books = Tenancy(listed, Tenant(first, pool.acquire(first.spec)))
        self._swapper = Swapper(pool, self._books, patience_s, on_change)
        self._on_change = on_change

    # --- what it is --------------------------------------------------------------------------------------

    @property
    def task(self) -> str:
        """What its models are for."""
        return self._books.variants.task

    @property
    def spec(self) -> ModelSpec:
        """Settings of the model in use."""
        return self._books.tenant.variant.spec

    @property
    def current(self) -> str:
        """Name of the variant in use."""
        return self._books.tenant.name

    @property
    def wanted(self) -> str:
        """Name of the variant that was asked for; differs from `current` only where memory does not suffice for it."""
        return self._books.wanted

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of those that can be used, best first."""
        return self._books.variants.names

    @property
    def notice(self) -> str:
        """Why another variant than the wanted one is in use, in one sentence; empty if it is not so."""
        with self._books.changed:
            if self._books.tenant.name == self._books.wanted:
                return ""
            return f"{self.task} uses {self.current} instead of {self._books.wanted}: {self._books.shortage}"

    @property
    def released(self) -> bool:
        """Whether it was given back."""
        return self._books.released

    # --- as a lease --------------------------------------------------------------------------------------

    def call(self, method: str, /, *args: Any, timeout_s: float = 10.0, **kwargs: Any) -> Any:
        """Call a method of the model in use; see `Lease.call`.

        A call that comes while neither model can take it waits for the swap, up to `timeout_s`, before it is made.

        Raises:
            BeingSwapped: The swap took longer.
            AdmissionRefused: Neither the model in use nor a smaller one fits into memory.
            ResidencyError: As `Lease.call`.
        """
        books = self._books
        label, cancels = f"{self.task}.{method}", books.cancels
        while True:
            tenant = books.enter(label, timeout_s, cancels)
            try:
                return tenant.lease.call(method, *args, timeout_s=timeout_s, **kwargs)
            except AdmissionRefused as error:
                refusal = error
            finally:
                books.leave(tenant)
            self._settle_for_less(tenant, refusal, label, timeout_s, cancels)

    def stream(self, method: str, /, *args: Any, timeout_s: float = 30.0, **kwargs: Any) -> SlotStream:
        """Call a generator method of the model in use when the first item is asked for; see `Lease.stream`."""
        request = (method, args, kwargs)
        return SlotStream(self._books, self._settle_for_less, request, timeout_s)

    def cancel(self) -> None:
        """Cancel every call, running or waiting, also those that wait for a swap. Does not block."""
        with self._books.changed:
            self._books.cancels += 1
            leases = [one.lease for one in (self._books.tenant, *self._books.others)]
            self._books.changed.notify_all()
        for lease in leases:
            lease.cancel()

    def preload(self, *, evict: bool = True) -> Future[None]:
        """Load the model in use now, in the background; a smaller one if it does not fit. See `Lease.preload`."""
        return self._warm(lambda lease: lease.preload(evict=evict), falls=evict)

    def prefetch(self, safe_s: float = 30.0) -> Future[None]:
        """Load the model in use because it will probably be needed soon; see `Lease.prefetch`."""
        return self._warm(lambda lease: lease.prefetch(safe_s), falls=False)

    def release(self) -> ReleaseRecord | None:
        """Give everything back, cancelling calls and swaps. Does nothing the second time."""
        records = [record for record in self._pool.release(self.surrender()) if record is not None]
        return records[0] if records else None

    def surrender(self) -> list[Lease]:
        """End the slot, and have the caller release its leases together with others."""
        with self._books.changed:
            if self._books.released:
                return []
            self._books.released = True
            leases = [one.lease for one in (self._books.tenant, *self._books.others)]
            self._books.changed.notify_all()
        return leases

    def __enter__(self) -> ModelSlot:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.release()

    # --- exchanging the model ----------------------------------------------------------------------------

    def use(self, name: str = "") -> Swap:
        """Exchange the model, and wait until the new one is ready and the old one gone; see `use_later`.

        Raises:
            UnknownVariant: There is no such variant here.
            SwapFailed: It could not be loaded, or calls in flight did not end; the old one is in use.
            SwapSuperseded: A later `use` came in between.
            LeaseReleased: The slot was released.
        """
        return self.use_later(name).result()

    def use_later(self, name: str = "") -> Future[Swap]:
        """Begin to exchange the model. The future tells what was done, or raises as `use`.

        If the old model is not in memory and nobody waits for it, the new one is loaded when it is first used. A
        request for the same variant joins one that goes on; one for another variant supersedes it.

        Args:
            name: One of `variants`; empty: the best one that fits.
        """
        books = self._books
        label = f"{self.task}: use of {name or 'the best model'}"
        done: Future[Swap] = Future()
        with books.changed:
            if books.released:
                done.set_exception(LeaseReleased(f"{label}: the lease was released"))
                return done
            try:
                target = books.variants.find(name)
            except UnknownVariant as error:
                done.set_exception(error)
                return done
            running, current = books.move, books.tenant
            if running is not None and running.asked and running.label == label:
                return running.future
            if running is None and target.name == current.name:
                books.wanted, books.shortage = target.name, ""
                done.set_result(Swap(current.name, current.name, f"{self.task} uses {current.name} already"))
            else:
                candidates = [target] if name else books.variants.down_to(current.name)
                move = Move(label, candidates, asked=True, wanted=target.name, hot=self._swapper.resident(current))
                self._swapper.start(move)
                return move.future
        self._on_change()
        return done

    def _settle_for_less(
        self, tenant: Tenant, refusal: AdmissionRefused, label: str, timeout_s: float, cancels: int
    ) -> None:
        """After a model was refused for lack of memory: return when another one is there to be tried.

        Raises:
            AdmissionRefused: There is none that fits.
        """
        books = self._books
        with books.changed:
            if books.tenant is not tenant:
                return
            move = self._fall(tenant, refusal)
            if move is None:
                raise refusal
            books.wait(lambda: move.over, label, timeout_s, cancels)
            if books.tenant is not tenant or move.asked:
                return
        error = move.future.exception()
        if isinstance(error, SwapFailed):
            raise AdmissionRefused(f"{refusal}; {error}")

    def adjust(self, *, ttl_s: float, pinned: bool) -> None:
        """Change the time to live [s] and the pin of all variants, at once for those that are held."""
        with self._books.changed:
            if self._books.released:
                return
            self._books.variants.adjust(ttl_s, pinned)
            for one in (self._books.tenant, *self._books.others):
                one.variant = self._books.variants.find(one.name)
                self._pool.adjust(one.variant.spec.name, ttl_s=ttl_s, pinned=pinned)

    def _fall(self, tenant: Tenant, refusal: AdmissionRefused) -> Move | None:
        """The exchange that goes on, or a new one for a smaller model; None: there is no smaller one. Lock held."""
        books = self._books
        if books.move is None:
            smaller = books.variants.smaller(tenant.name)
            if not smaller:
                return None
            label = f"{self.task}: use of a smaller model than {tenant.name}"
            move = Move(label, smaller, asked=False, wanted=books.wanted, hot=True, reason=str(refusal))
            self._swapper.start(move)
        return books.move

    def _warm(self, ask: Callable[[Lease], Future[None]], falls: bool) -> Future[None]:
        books = self._books
        done: Future[None] = Future()
        with books.changed:
            tenant, move = books.tenant, books.move
            if books.released:
                done.set_exception(LeaseReleased(f"{self.task}: the lease was released"))
                return done
            if not books.handover or move is None:
                asked = ask(tenant.lease)
                if not falls:
                    return asked
                move = None
        if move is not None:
            # It ends with a model that is loaded, or with the reason why not.
            move.future.add_done_callback(lambda ended: _follow(ended, done))
            return done

        def loaded(future: Future[None]) -> None:
            error = future.exception()
            if not isinstance(error, AdmissionRefused):
                _follow(future, done)
                return
            with books.changed:
                fall = None
                if not books.released and books.tenant is tenant:
                    fall = self._fall(tenant, error)
            if fall is None:
                done.set_exception(error)
            else:
                fall.future.add_done_callback(lambda ended: _follow(ended, done, error))

        asked.add_done_callback(loaded)
        return done


def _follow(ended: Future[Any], done: Future[None], instead: ResidencyError | None = None) -> None:
    """Complete one future like another."""
    error = ended.exception()
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(instead if instead is not None else error)
