"""What happens in a soak, one JSON object a line, written as it happens: nothing has to be kept in memory."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class RecordFailed(OSError):
    """The record cannot be written any further; one sentence that says where and what to do."""


class Record:
    """Appends to a file; callable from any thread.

    Attributes:
        path: the file.
        failed: why writing ended early; None as long as it goes on.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Begins a new file; its times count from now.

        Raises:
            RecordFailed: it cannot be made.
        """
        self.path = path
        self.failed: RecordFailed | None = None
        self._clock, self._began = clock, clock()
        self._lock = threading.Lock()
        try:
            self._file = path.open("w", encoding="utf-8")
        except OSError as error:
            raise self._failure(error) from error

    def now(self) -> float:
        """Seconds since the record began."""
        return self._clock() - self._began

    def write(self, kind: str, **fields: Any) -> float:
        """One line; returns its time [s].

        Raises:
            RecordFailed: it could not be written, now or earlier.
        """
        with self._lock:
            if self.failed is not None:
                raise self.failed
            at = self.now()
            try:
                self._file.write(json.dumps({"kind": kind, "t": round(at, 4), **fields}) + "\n")
                self._file.flush()
            except OSError as error:
                self.failed = self._failure(error)
                raise self.failed from error
            return at

    def close(self) -> None:
        """Ends the file; what a full disk refused is lost."""
        with self._lock:
            try:
                self._file.close()
            except OSError:
                pass  # told already, by `failed`
            self.failed = self.failed or RecordFailed("the record is closed")

    def _failure(self, error: OSError) -> RecordFailed:
        return RecordFailed(
            f"{self.path} cannot be written: {error.strerror}; free some space or choose another folder with --out"
        )


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a record in order; a last one that was not written to its end is left out."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                return
