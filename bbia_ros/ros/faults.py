"""What does not work in a node just now, and complaints about bad input."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


class Faults:
    """Owns the sentences of the present faults. Thread-safe.

    Args:
        logger: of the node.
        changed: told, from any thread, when the faults are others.
    """

    def __init__(self, logger: Any, changed: Callable[[], None]) -> None:
        self._logger, self._changed = logger, changed
        self._sentences: dict[str, str] = {}
        self._lock = threading.Lock()
        self._quiet_until: dict[str, float] = {}

    def report(self, key: str, sentence: str) -> None:
        """Something does not work, until `clear`. Logged once per change."""
        with self._lock:
            known = self._sentences.get(key)
            self._sentences[key] = sentence
        if known != sentence:
            self._logger.error(sentence)
            self._changed()

    def clear(self, key: str) -> None:
        """The thing works again."""
        with self._lock:
            gone = self._sentences.pop(key, None)
        if gone is not None:
            self._logger.info(f"over: {gone}")
            self._changed()

    def clear_all(self) -> None:
        """Forgets them without a word: whoever had them has ended."""
        with self._lock:
            self._sentences.clear()

    def sentences(self) -> list[str]:
        """Of all present faults."""
        with self._lock:
            return list(self._sentences.values())

    def complain(self, key: str, sentence: str, every_s: float) -> None:
        """Warns, at most once per `every_s` seconds for the same key."""
        now = time.monotonic()
        if now >= self._quiet_until.get(key, 0.0):
            self._quiet_until[key] = now + every_s
            self._logger.warning(sentence)
