"""A lane: one thread that takes items from a short queue, so that callbacks never wait for a model."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lane(Generic[T]):
    """Hands items, one after the other, to a handler in a thread of its own.

    Owns: the thread and the bounded queue. With depth 1 the newest item wins; with more, the oldest is dropped when
    the queue is full. Dropped items are counted, never silently lost.

    Attributes:
        skipped: items that were dropped since the lane was made.
        name: of the lane and its thread.
    """

    def __init__(
        self,
        name: str,
        handler: Callable[[T], None],
        depth: int = 1,
        on_error: Callable[[Exception], None] | None = None,
        on_success: Callable[[], None] | None = None,
    ) -> None:
        """Starts the thread.

        Args:
            name: of the thread, for debuggers.
            handler: called with each item; may block.
            depth: items that may wait, >= 1.
            on_error: called in the lane's thread with what the handler raised; the lane goes on.
            on_success: called in the lane's thread after each item that was handled.
        """
        if depth < 1:
            raise ValueError(f"a lane needs a depth of at least 1, got {depth}")
        self.skipped = 0
        self.name = name
        self._handler, self._on_error, self._on_success = handler, on_error, on_success
        self._items: deque[T] = deque()
        self._depth = depth
        self._stopping = False
        self._busy = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, item: T) -> bool:
        """Queues an item without waiting. False: the lane has been stopped and the item is not taken."""
        with self._changed:
            if self._stopping:
                return False
            while len(self._items) >= self._depth:
                self._items.popleft()
                self.skipped += 1
            self._items.append(item)
            self._changed.notify_all()
            return True

    def take(self, most: int) -> list[T]:
        """Items that wait now, oldest first, for a handler that can handle several at once; at most so many."""
        with self._changed:
            return [self._items.popleft() for _ in range(min(most, len(self._items)))]

    @property
    def waiting(self) -> int:
        """Items in the queue."""
        return len(self._items)

    @property
    def busy(self) -> bool:
        """An item is being handled or waits."""
        with self._changed:
            return self._busy or bool(self._items)

    def clear(self) -> int:
        """Drops what waits; returns how many that were."""
        with self._changed:
            dropped = len(self._items)
            self._items.clear()
            return dropped

    def close(self) -> None:
        """Takes no more items and drops what waits; the item in hand is finished. Does not wait: see `join`."""
        with self._changed:
            self._stopping = True
            self._items.clear()
            self._changed.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Waits for the thread to end after `close`. False: it is still busy."""
        if self._thread is threading.current_thread():
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                while not self._items and not self._stopping:
                    self._changed.wait()
                if self._stopping:
                    return
                item = self._items.popleft()
                self._busy = True
            try:
                self._handler(item)
            except Exception as error:
                if self._on_error is None:
                    raise
                self._on_error(error)
            else:
                if self._on_success is not None:
                    self._on_success()
            del item  # a frame must not live on while the lane waits for the next
