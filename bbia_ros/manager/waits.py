"""Waiting with an end, for the manager's coroutines."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from typing import Any, Protocol


class NoAnswer(Exception):
    """A service did not answer in time."""


class Abandoned(Exception):
    """Nobody waits any more: the manager was deactivated."""


async def unless_abandoned(work: Coroutine[Any, Any, None]) -> None:
    """Awaits `work`, which may end early when the manager is deactivated."""
    try:
        await work
    except Abandoned:
        pass  # nobody is left to tell


class Waiter(Protocol):
    """What this needs of a BbiaNode."""

    active: bool

    def future(self) -> Any:
        """A future that coroutines may await."""

    def complete(self, future: Any, result: Any) -> None:
        """Sets its result unless it is done."""

    def later(self, delay_s: float, function: Any) -> None:
        """Runs a function after a while."""


class Waits:
    """Owns the deadlines of everything the manager's coroutines wait for."""

    def __init__(self, node: Waiter) -> None:
        self._node = node
        self._deadlines: list[tuple[float, Any]] = []

    async def answer(self, future: Any, timeout_s: float) -> Any:
        """The result of an rclpy future.

        Raises:
            NoAnswer: it was not done after `timeout_s`.
            Abandoned: the node was deactivated meanwhile.
        """
        waiter = self._node.future()
        future.add_done_callback(lambda done: self._node.complete(waiter, done))
        entry = (time.monotonic() + timeout_s, waiter)
        self._deadlines.append(entry)
        done = await waiter
        if entry in self._deadlines:
            self._deadlines.remove(entry)
        if not self._node.active:
            raise Abandoned
        if done is None:
            raise NoAnswer
        return done.result()

    async def pause(self, seconds: float) -> None:
        """Waits; raises Abandoned when the node was deactivated meanwhile."""
        waiter = self._node.future()
        self._node.later(seconds, lambda: self._node.complete(waiter, True))
        await waiter
        if not self._node.active:
            raise Abandoned

    def expire(self, now: float) -> None:
        """Ends the waits whose time is over; to be called a few times a second."""
        due = [waiter for deadline, waiter in self._deadlines if now >= deadline]
        self._deadlines = [(deadline, waiter) for deadline, waiter in self._deadlines if now < deadline]
        for waiter in due:
            self._node.complete(waiter, None)

    def abandon(self) -> None:
        """Ends all waits."""
        self.expire(float("inf"))
