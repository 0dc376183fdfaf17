"""The file behind the conversation memory: one JSON object a line, appended safely, compressed when it grows.

A message costs its callback a queue entry. A thread writes what has gathered, syncs it to the disk once per batch, and
compresses the file when it passes its limit. A line that a crash cut short is dropped when the file is read.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

QUEUE_LENGTH = 1000
BATCH_S = 0.2
"""A batch gathers for this long before it is written and synced."""

RETRY_S = 5.0
"""Pause after a failed write, before the next attempt."""


class Journal:
    """Appends objects to `<name>.jsonl` from a thread of its own and keeps older parts as `<name>-NNNNNN.jsonl.gz`.

    Owns: the thread, the files of that name in the folder. Does not own: the folder.

    Args:
        folder: Where the files are; made when missing.
        name: Stem of the file names.
        compress_bytes: The file is compressed when it is larger than this.
        keep_archives: Compressed parts that are kept; older ones go.
        on_error: Called in the thread with one sentence when writing fails; entries wait and are tried again.
        on_recovery: Called in the thread when writing works again.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        compress_bytes: int = 1_000_000,
        keep_archives: int = 5,
        on_error: Callable[[str], None] | None = None,
        on_recovery: Callable[[], None] | None = None,
    ) -> None:
        self._folder, self._name = folder, name
        self._compress_bytes, self._keep_archives = compress_bytes, keep_archives
        self._on_error, self._on_recovery = on_error or (lambda _: None), on_recovery or (lambda: None)
        self._changed = threading.Condition()
        self._lines: deque[str] = deque()  # a line stays here until it is on the disk
        self._erase, self._erasures = False, 0
        self._closing = threading.Event()
        self._failed = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name=f"journal-{name}", daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        """The file that grows."""
        return self._folder / f"{self._name}.jsonl"

    def append(self, entry: dict[str, Any]) -> None:
        """Queues an entry and returns at once; counts it as dropped when the disk has failed for too long."""
        line = json.dumps(entry, ensure_ascii=False) + "\n"
        with self._changed:
            if len(self._lines) >= QUEUE_LENGTH:
                self.dropped += 1
            else:
                self._lines.append(line)
            self._changed.notify_all()

    def erase(self) -> None:
        """Deletes, soon, everything written so far and what waits."""
        with self._changed:
            self._lines.clear()
            self._erase = True
            self._erasures += 1
            self._changed.notify_all()

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Waits until everything asked for is on the disk; False when that did not happen in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._lines and not self._erase, timeout_s)

    def close(self, timeout_s: float = 1.0) -> bool:
        """Writes what waits and ends the thread; False when it could not be written."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive() and not self._lines and not self._erase

    def read(self, newest: int) -> list[dict[str, Any]]:
        """The newest entries, oldest first, from the archives and the file; damaged lines are left out."""
        parts = [self.path, *reversed(self._archives())]
        found: list[dict[str, Any]] = []
        for part in parts:
            found[:0] = list(_entries(part))
            if len(found) >= newest:
                break
        return found[-newest:] if newest > 0 else []

    def _archives(self) -> list[Path]:
        return sorted(self._folder.glob(f"{self._name}-??????.jsonl.gz"))

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._erase or self._closing.is_set())
            self._closing.wait(RETRY_S if self._failed else BATCH_S)
            closing = self._closing.is_set()
            with self._changed:
                batch, erase, erasures = list(self._lines), self._erase, self._erasures
            done = not erase or self._attempt(self._delete_files)
            done = done and (not batch or self._attempt(partial(self._write, batch)))
            with self._changed:
                if done and erasures == self._erasures:
                    self._erase = False
                    for _ in batch:
                        self._lines.popleft()
                self._changed.notify_all()
            if done and batch:
                self._attempt(self._rotate)
            if closing:
                return

    def _attempt(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except OSError as error:
            if not self._failed:
                self._on_error(f"The conversation cannot be saved in {self._folder}: {error.strerror or error}.")
            self._failed = True
            return False
        if self._failed:
            self._failed = False
            self._on_recovery()
        return True

    def _write(self, lines: list[str]) -> None:
        """Appends whole lines or nothing: a failed write is cut off again."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as stream:
            before = stream.tell()
            try:
                # A line that a crash cut short must not swallow the next one.
                stream.write(b"" if _ends_with_newline(self.path, before) else b"\n")
                stream.write("".join(lines).encode())
                stream.flush()
                os.fsync(stream.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    os.truncate(self.path, before)
                raise

    def _rotate(self) -> None:
        if self.path.stat().st_size <= self._compress_bytes:
            return
        archives = self._archives()
        number = int(archives[-1].name[len(self._name) + 1 :][:6]) + 1 if archives else 1
        target = self._folder / f"{self._name}-{number:06d}.jsonl.gz"
        scratch = target.with_suffix(".tmp")
        try:
            with gzip.open(scratch, "wb") as packed:
                packed.write(self.path.read_bytes())
            os.replace(scratch, target)
        finally:
            scratch.unlink(missing_ok=True)
        self.path.unlink()
        for old in self._archives()[: -self._keep_archives]:
            old.unlink()

    def _delete_files(self) -> None:
        for file in (self.path, *self._archives()):
            file.unlink(missing_ok=True)


def _entries(file: Path) -> Iterator[dict[str, Any]]:
    """The readable lines of a part; an unreadable part has none."""
    try:
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError):
        return
    for line in data.decode("utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry


def _ends_with_newline(path: Path, size: int) -> bool:
    if size == 0:
        return True
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"
