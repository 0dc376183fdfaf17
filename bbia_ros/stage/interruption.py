"""Ends a run on Ctrl-C in order: never while something is being opened or closed, and only once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """The first SIGINT, SIGTERM or SIGHUP becomes a KeyboardInterrupt; later ones only call `impatient`.

    What is opened inside `held` is known to its owner before the exception comes, so it is always closed.

    Attributes:
        impatient: told that the user asked again, while things are being closed.
    """

    def __init__(self) -> None:
        """Does not listen yet: without `install`, `held` holds nothing."""
        self.impatient: Callable[[], None] = lambda: None
        self._depth = 0
        self._received = self._due = False

    def install(self) -> None:
        """Takes the signals over, for the rest of the process."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._take)

    @contextmanager
    def held(self) -> Iterator[None]:
        """A stretch without interruption; one that came meanwhile is raised at its end.

        Raises:
            KeyboardInterrupt: at the end, when nothing else was raised.
        """
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        if self._due and not self._depth:
            self._due = False
            raise KeyboardInterrupt

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._received:
            self.impatient()
            return
        self._received = True
        if not self._depth:
            raise KeyboardInterrupt
        self._due = True
