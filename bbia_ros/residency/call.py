"""One call on its way: what makes it cancellable wherever it waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from bbia_ros.residency.errors import ResidencyError


class Call:
    """A call from the moment it is made until its answer was read.

    It may wait for a load, for its turn at the worker, or for the answer; `cancel` wakes it in each. Whoever
    lets it wait sets `waker` first and looks at `cancelled` afterwards, so no cancel is lost in between.

    Attributes:
        label: "model.method", for messages.
        cancelled: The error with which the call ends, once somebody cancelled it.
        waker: Called by `cancel`; must not block.
        on_end: Called once the worker is done with a stream that nobody reads to its end.
        counted: Whether the pool counts it as a user of its model; guarded by the pool's lock.
    """

    __slots__ = ("cancelled", "counted", "label", "on_end", "waker")

    def __init__(self, label: str) -> None:
        self.label = label
        self.cancelled: ResidencyError | None = None
        self.waker: Callable[[], object] | None = None
        self.on_end: Callable[[], object] | None = None
        self.counted = False

    def cancel(self, error: ResidencyError) -> None:
        """End the call with this error; the first cancel counts. Does not block."""
        if self.cancelled is None:
            self.cancelled = error
            waker = self.waker
            if waker is not None:
                waker()

    def check(self) -> None:
        """Raise the error of the cancel, if there was one."""
        if self.cancelled is not None:
            raise self.cancelled

    def wait(self, event: threading.Event, timeout_s: float | None) -> bool:
        """Wait for an event, which `cancel` sets as well.

        Returns:
            Whether it was set in time.

        Raises:
            ResidencyError: The call was cancelled.
        """
        self.waker = event.set
        try:
            self.check()
            done = event.wait(timeout_s)
            self.check()
            return done
        finally:
            self.waker = None


class StreamCall(Call):
    """A call that yields items.

    Attributes:
        timeout_s: Longest wait for an item, and longest time without a reader [s].
        touched: When an item was last read [s, monotonic].
        cancels: How often the lease's calls had been cancelled when the stream was made: it starts only if that
            is still so.
    """

    __slots__ = ("cancels", "timeout_s", "touched")

    def __init__(self, label: str, timeout_s: float, cancels: int) -> None:
        super().__init__(label)
        self.cancels = cancels
        self.timeout_s = timeout_s
        self.touched = time.monotonic()
