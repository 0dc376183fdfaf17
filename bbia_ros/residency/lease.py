"""The right to call a model, and a stream of items from it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bbia_ros.residency.admission import Force
from bbia_ros.residency.call import Call, StreamCall
from bbia_ros.residency.errors import CallCancelled, LeaseReleased
from bbia_ros.residency.spec import ModelSpec, ReleaseRecord

if TYPE_CHECKING:
    from bbia_ros.residency.pool import Pool
    from bbia_ros.residency.resident import ItemStream, Resident


class Lease:
    """The right to call a model. Made by `Pool.acquire`; thread-safe.

    Holding a lease keeps nothing in memory: an idle model may be evicted and comes back with the next call.
    Releasing the last lease of a model ends its worker.
    """

    def __init__(self, pool: Pool, resident: Resident) -> None:
        self._pool = pool
        self.resident = resident
        self.calls: set[Call] = set()
        self.cancels = 0
        self.released = False

    @property
    def spec(self) -> ModelSpec:
        """The model's settings."""
        return self.resident.spec

    def preload(self, *, evict: bool = True) -> Future[None]:
        """Load now, in the background; the future tells when it is ready, or why not (same errors as `call`).

        Args:
            evict: False: AdmissionRefused rather than unloading any other model, unless somebody else who waits for
                this model wants it more.
        """
        return self._pool.dispatcher.preload(self, Force.FULL if evict else Force.NONE)

    def prefetch(self, safe_s: float = 30.0) -> Future[None]:
        """Load in the background what will probably be needed soon.

        To make room only idle models go that were not used within the last 5 s and are not safe themselves.

        Args:
            safe_s: Once it is loaded, neither the idle timer nor another prefetch unloads it for so long, and a call
                to another model only if other idle ones do not suffice [s].

        Returns:
            Tells when it is ready, or why not: AdmissionRefused when there is no room for a guess.
        """
        if not safe_s >= 0:
            raise ValueError(f"safe_s is {safe_s}, expected 0 or more")
        return self._pool.dispatcher.preload(self, Force.GENTLE, safe_s)

    def call(self, method: str, /, *args: Any, timeout_s: float = 10.0, **kwargs: Any) -> Any:
        """Call a method of the engine and wait for its result, loading the model first if it is absent.

        Args:
            method: Its name.
            *args: Picklable; numpy arrays cross through shared memory.
            timeout_s: For waiting its turn at the worker and running [s]. Loading has its own limit in the spec.
            **kwargs: Picklable.

        Raises:
            AdmissionRefused: It does not fit into memory.
            LoadFailed: It could not be loaded.
            ModelFailed: It failed three times in a row.
            EngineError: The method raised.
            CallTimeout: Too slow; unless it was still waiting for its turn, its worker was ended.
            CallCancelled: `cancel` or `release` came in between.
            LeaseReleased: The lease had been released.
            NotPicklable: An argument that cannot cross.
            WorkerDied: The worker process ended meanwhile.
        """
        return self._pool.dispatcher.call(self, method, args, kwargs, timeout_s)

    def stream(self, method: str, /, *args: Any, timeout_s: float = 30.0, **kwargs: Any) -> Stream:
        """Call a generator method. Nothing happens before the first item is asked for.

        Args:
            method: Its name.
            *args: As in `call`.
            timeout_s: Longest wait for the worker to come to this call, and for each item [s]. A stream from
                which nobody reads for so long is ended too: it keeps others from the worker.
            **kwargs: As in `call`.
        """
        return Stream(self._pool, self, method, args, kwargs, timeout_s)

    def cancel(self) -> None:
        """Cancel every call of this lease, running or waiting; they raise CallCancelled. Does not block."""
        self._pool.dispatcher.cancel(self)

    def release(self) -> ReleaseRecord | None:
        """Give the lease back, cancelling its calls. Does nothing the second time.

        Returns:
            What the unload gave back, if this was the last holder of a loaded model. The worker is gone then.
        """
        return self._pool.release([self])[0]

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.release()


class Stream(Iterator[Any]):
    """Items of a generator method; read by one thread, cancelled from any.

    Also a context manager that cancels what is left at its end.
    """

    def __init__(
        self, pool: Pool, lease: Lease, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float
    ) -> None:
        self._pool = pool
        self.lease = lease
        self._request = (method, args, kwargs)
        self.call = StreamCall(f"{lease.spec.name}.{method}", timeout_s, lease.cancels)
        self._items: ItemStream | None = None
        self._done = False
        if lease.released:
            raise LeaseReleased(f"{self.call.label}: the lease was released")

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Any:
        """Wait for the next item; raises what `Lease.call` raises."""
        if self._done:
            raise StopIteration
        try:
            if self._items is None:
                self._items = self._pool.dispatcher.open_stream(self.lease, self.call, *self._request)
            item = self._items.read(self.call.timeout_s)
        except BaseException as error:
            self._done = True
            if not isinstance(error, StopIteration):
                # An item that cannot be rebuilt leaves the worker running: let it stop.
                self.cancel()
            self._pool.dispatcher.delist(self.lease, self.call)
            raise
        self.call.touched = time.monotonic()
        return item

    def cancel(self) -> None:
        """End the stream; a waiting `next` raises CallCancelled at once or within 0.3 s. Does not block."""
        self.call.cancel(CallCancelled(f"{self.call.label} was cancelled"))

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if not self._done:
            self.cancel()

    def __del__(self) -> None:
        if self._items is not None and not self._done:
            # May run anywhere, under any lock: only leave a note.
            self._pool.dispatcher.note_dropped(self.call)
