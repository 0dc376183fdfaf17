"""The ledger: what all pools of the stack have in memory, so that one budget holds across processes."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bbia_ros.residency.accounting import start_time
from bbia_ros.residency.admission import Occupant
from bbia_ros.residency.errors import LedgerError, ProcessGone
from bbia_ros.residency.jsonfile import SharedJson

_log = logging.getLogger(__name__)


def runtime_directory() -> Path:
    """Where the ledger lives: XDG_RUNTIME_DIR/bbia_ros, else a directory of our own under the temporary one.

    Raises:
        LedgerError: The fallback directory belongs to somebody else.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and os.access(runtime, os.W_OK):
        return Path(runtime) / "bbia_ros"
    fallback = Path(tempfile.gettempdir()) / f"bbia_ros-{os.getuid()}"
    try:
        fallback.mkdir(mode=0o700, exist_ok=True)
        status = fallback.lstat()
    except OSError as error:
        raise LedgerError(f"{fallback} cannot be made ({error.strerror}): set XDG_RUNTIME_DIR") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise LedgerError(f"{fallback} belongs to somebody else: set XDG_RUNTIME_DIR")
    return fallback


class Ledger:
    """Reservations of this process beside those of the others; thread-safe.

    Every change locks the file, drops entries whose process has ended (pid and start time), changes it and
    replaces it. A damaged file starts anew with a warning: what this process holds is entered again.

    Args:
        path: The file; None: ``ledger-<stack>.json`` in `runtime_directory`.
        stack: Pools of stacks with different names do not see each other.
        process: Name of this process in messages to others.
    """

    def __init__(self, path: Path | None = None, *, stack: str = "bbia", process: str = "") -> None:
        safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in stack)
        self.path = path if path is not None else runtime_directory() / f"ledger-{safe}.json"
        self._file = SharedJson(self.path)
        self._pid = os.getpid()
        self._start = start_time(self._pid)
        self._process = process or f"process {self._pid}"
        self._mine: dict[str, dict[str, Any]] = {}

    def reserve(self, name: str, size: int, budget: int | None) -> bool:
        """Enter a model that is about to load, if the total stays within the budget.

        Args:
            name: The model; an entry of ours with this name is replaced.
            size: Bytes.
            budget: Bytes for all processes; None: no limit.

        Returns:
            Whether it was entered.
        """
        with self._file.change() as data:
            entries = self._live(data)
            key = self._key(name)
            entries.pop(key, None)
            fits = budget is None or sum(entry["bytes"] for entry in entries.values()) + size <= budget
            if fits:
                entries[key] = self._mine[name] = self._entry(name, size, "loading")
            data["entries"] = entries
        return fits

    def settle(self, name: str, size: int, state: str = "loaded") -> None:
        """The model is loaded and takes this many bytes."""
        with self._file.change() as data:
            entries = self._live(data)
            entries[self._key(name)] = self._mine[name] = self._entry(name, size, state)
            data["entries"] = entries

    def release(self, names: Iterable[str]) -> None:
        """These models are out of memory."""
        with self._file.change() as data:
            entries = self._live(data)
            for name in names:
                self._mine.pop(name, None)
                entries.pop(self._key(name), None)
            data["entries"] = entries

    def clear(self) -> None:
        """Drop everything of this process."""
        self.release(list(self._mine))

    def others(self) -> list[Occupant]:
        """What the other live processes hold or are loading."""
        mine = self._key("")
        return [
            Occupant(
                name=entry["name"],
                group="",
                size=entry["bytes"],
                last_used=0.0,
                evictable=False,
                state=f"{entry['state']} in {entry['process']}",
            )
            for key, entry in self._live(self._file.read()).items()
            if not key.startswith(mine)
        ]

    def _key(self, name: str) -> str:
        return f"{self._pid}:{self._start}:{name}"

    def _entry(self, name: str, size: int, state: str) -> dict[str, Any]:
        return {
            "pid": self._pid,
            "start": self._start,
            "process": self._process,
            "name": name,
            "bytes": int(size),
            "state": state,
        }

    def _live(self, data: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Well-formed entries of processes that live; ours are taken from memory."""
        raw = data.get("entries", {})
        alive: dict[tuple[int, int], bool] = {}
        live: dict[str, dict[str, Any]] = {}
        for key, entry in raw.items() if isinstance(raw, dict) else ():
            if not _well_formed(entry):
                _log.warning("%s: an entry that cannot be read was dropped: %s", self.path, key)
                continue
            owner = (entry["pid"], entry["start"])
            if owner == (self._pid, self._start):
                continue
            if owner not in alive:
                alive[owner] = _alive(*owner)
            if alive[owner]:
                live[key] = entry
        live.update({self._key(name): entry for name, entry in list(self._mine.items())})
        return live


def _well_formed(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and all(isinstance(entry.get(key), str) for key in ("process", "name", "state"))
        and all(type(entry.get(key)) is int and entry[key] >= 0 for key in ("pid", "start", "bytes"))
    )


def _alive(pid: int, start: int) -> bool:
    try:
        return start_time(pid) == start
    except ProcessGone:
        return False
