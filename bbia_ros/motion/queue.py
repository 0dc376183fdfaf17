"""The primary queue: one item plays, at most fifty wait, each is told how it ended exactly once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from bbia_ros.motion.primary import Goto, LookAt, PlayMove

Item = PlayMove | Goto | LookAt
OnEnd = Callable[[str], None]

LIMIT: Final = 50


class QueueFull(Exception):
    """No room for another item; the text says how many wait."""


class Ticket:
    """An item's place in the queue.

    Attributes:
        item: what is to be done.
        begun: whether it has started to play.
    """

    def __init__(self, item: Item, on_end: OnEnd) -> None:
        self.item = item
        self.begun = False
        self._on_end: OnEnd | None = on_end

    def end(self, reason: str) -> None:
        """Reports the end, once: an empty reason for one that came by itself, else a sentence."""
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(reason)


class PrimaryQueue:
    """First in, first out; may be used from several threads. Callbacks run in the thread that ends the item."""

    def __init__(self, limit: int = LIMIT) -> None:
        """Makes an empty queue.

        Args:
            limit: items that may wait behind the one that plays.
        """
        self._tickets: deque[Ticket] = deque()
        self._limit = limit
        self._lock = threading.Lock()

    def offer(self, item: Item, on_end: OnEnd = lambda reason: None) -> Ticket:
        """Puts an item at the end.

        Raises:
            QueueFull: too many wait already.
        """
        with self._lock:
            if len(self._tickets) > self._limit:
                raise QueueFull(f"{self._limit} moves wait already: let some of them play, or call motion/stop")
            ticket = Ticket(item, on_end)
            self._tickets.append(ticket)
        return ticket

    def current(self) -> Ticket | None:
        """The item whose turn it is."""
        with self._lock:
            return self._tickets[0] if self._tickets else None

    def waiting(self) -> int:
        """How many items wait behind the one that plays."""
        with self._lock:
            return max(0, len(self._tickets) - 1)

    def end(self, ticket: Ticket, reason: str = "") -> None:
        """Takes an item out, whether it plays or waits, and reports why."""
        with self._lock:
            if ticket in self._tickets:
                self._tickets.remove(ticket)
        ticket.end(reason)

    def clear(self, reason: str) -> None:
        """Takes all items out."""
        with self._lock:
            tickets = list(self._tickets)
            self._tickets.clear()
        for ticket in tickets:
            ticket.end(reason)
