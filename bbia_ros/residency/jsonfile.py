"""A small JSON file that several processes read and change: locked, written atomically, bad content tolerated."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bbia_ros.residency.errors import LedgerError

_log = logging.getLogger(__name__)
_LOCK_TIMEOUT_S = 5.0
_MAX_BYTES = 4_000_000


class SharedJson:
    """A JSON object in a file, with a lock file beside it (the file itself is replaced at each change).

    Owns nothing between two calls. Threads of one process exclude each other too: each call opens the lock anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock_path = path.with_name(path.name + ".lock")

    @contextlib.contextmanager
    def change(self) -> Iterator[dict[str, Any]]:
        """Lock, read, let the caller change the object, and write it back if it did.

        Raises:
            LedgerError: The directory cannot be used, or another process keeps the lock for 5 s.
        """
        with self._locked():
            before = self._read()
            data = json.loads(json.dumps(before))
            yield data
            if data != before or not self.path.exists():
                self._write(data)

    def read(self) -> dict[str, Any]:
        """The object now; empty if there is no file."""
        return self._read()

    def version(self) -> object:
        """Differs after each change; None if there is no file."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LedgerError(f"{self.path.parent} cannot be used ({error.strerror}): make it writable") from error
        try:
            deadline = time.monotonic() + _LOCK_TIMEOUT_S
            pause = 0.0005
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise LedgerError(
                            f"{self._lock_path} is locked by another process for {_LOCK_TIMEOUT_S:g} s: does it hang?"
                        ) from None
                    time.sleep(pause)
                    pause = min(pause * 2, 0.02)
            yield
        finally:
            os.close(fd)

    def _read(self) -> dict[str, Any]:
        try:
            with open(self.path, "rb") as file:
                raw = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise LedgerError(f"{self.path} cannot be read ({error.strerror})") from error
        try:
            if len(raw) > _MAX_BYTES:
                raise ValueError("too large")
            data = json.loads(raw)
            if not isinstance(data, dict):
                raise ValueError("not an object")
            return data
        except (ValueError, RecursionError) as error:
            _log.warning("%s is damaged (%s) and starts anew", self.path, error)
            return {}

    def _write(self, data: dict[str, Any]) -> None:
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        try:
            with open(temporary, "w") as file:
                json.dump(data, file, indent=1)
            os.replace(temporary, self.path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise LedgerError(f"{self.path} cannot be written ({error.strerror})") from error
