"""Items from whichever model a slot uses when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from bbia_ros.residency.errors import AdmissionRefused, CallCancelled, LeaseReleased
from bbia_ros.residency.lease import Stream
from bbia_ros.residency.tenancy import Tenancy, Tenant

SettleForLess = Callable[[Tenant, AdmissionRefused, str, float, int], None]
Request = tuple[str, tuple[Any, ...], dict[str, Any]]
"""Method, arguments, keyword arguments."""


class SlotStream(Iterator[Any]):
    """Read by one thread, cancelled from any; see `Stream`. Begins on the model in use when it is first read.

    Args:
        books: Of the slot.
        settle_for_less: Has the slot use a smaller model after one was refused.
        request: What to call.
        timeout_s: As for `Lease.stream`; also the longest wait for a swap.
    """

    def __init__(self, books: Tenancy, settle_for_less: SettleForLess, request: Request, timeout_s: float) -> None:
        self._books, self._settle_for_less, self._request = books, settle_for_less, request
        self._label, self._timeout_s, self._cancels = f"{books.variants.task}.{request[0]}", timeout_s, books.cancels
        self._tenant: Tenant | None = None
        self._items: Stream | None = None
        self._begun = self._done = self._stopped = False
        if books.released:
            raise LeaseReleased(f"{self._label}: the lease was released")

    def __iter__(self) -> SlotStream:
        return self

    def __next__(self) -> Any:
        """Wait for the next item; raises what `ModelSlot.call` raises."""
        if self._done:
            raise StopIteration
        while True:
            try:
                items = self._items if self._items is not None else self._open()
                item = next(items)
                self._begun = True
                return item
            except AdmissionRefused as error:
                tenant = self._leave()
                if self._begun or tenant is None:
                    self._done = True
                    raise
                refusal = error
            except BaseException:
                self._done = True
                self._leave()
                raise
            self._settle_for_less(tenant, refusal, self._label, self._timeout_s, self._cancels)

    def _open(self) -> Stream:
        tenant = self._books.enter(self._label, self._timeout_s, self._cancels, lambda: self._stopped)
        self._tenant = tenant
        method, args, kwargs = self._request
        items = tenant.lease.stream(method, *args, timeout_s=self._timeout_s, **kwargs)
        self._items = items
        if self._stopped:
            raise CallCancelled(f"{self._label} was cancelled")
        return items

    def _leave(self) -> Tenant | None:
        tenant, self._tenant, self._items = self._tenant, None, None
        if tenant is not None:
            self._books.leave(tenant)
        return tenant

    def cancel(self) -> None:
        """End the stream; a waiting `next` raises CallCancelled at once or within 0.3 s. Does not block."""
        self._stopped = True
        items = self._items
        if items is not None:
            items.cancel()
        else:
            self._books.notify()

    def __enter__(self) -> SlotStream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if not self._done:
            self.cancel()
            self._done = True
            self._leave()

    def __del__(self) -> None:
        tenant = getattr(self, "_tenant", None)
        if tenant is not None:
            # May run anywhere, under any lock: only leave a note. The pool ends the call itself.
            self._books.forget(tenant)
