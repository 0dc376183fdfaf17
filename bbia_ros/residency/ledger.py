"""The ledger: what all pools of the stack have in memory, so that one budget holds across processes."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bbia_ros.residency.accounting import start_time
from bbia_ros.residency.admission import Occupant
from bbia_ros.residency.errors import LedgerError, ProcessGone
from bbia_ros.residency.jsonfile import SharedJson
from bbia_ros.residency.limits import Limits

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LedgerEntry:
    """One model that a live process of the stack holds.

    Attributes:
        name: The model.
        task: What it is for.
        group: Its limit group or empty.
        bytes: What it counts for against the budget.
        state: "loading", "loaded", "loaded, pinned" or "leaving".
        process: Name of the process that holds it.
        pid: Of that process (not of the worker).
        settled_bytes: What it will count for soon: of one that is loading what it is expected to keep of its
            reservation, 0 if not known; of one that leaves 0; else the same as `bytes`.
    """

    name: str
    task: str
    group: str
    bytes: int
    state: str
    process: str
    pid: int
    settled_bytes: int


LOADING = "loading"
LEAVING = "leaving"


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
    """Reservations of this process beside those of the others, and the limits in force; thread-safe.

    Every change locks the file, drops entries whose process has ended (pid and start time), changes it and
    replaces it. A damaged file starts anew with a warning: what this process holds is entered again. A process
    has one ledger per file that reserves; further ones may read and set limits.

    Limits outlive the process that set them for everybody who saw it alive, until others are set. What an earlier
    run of the stack left in the file is not in force.

    Args:
        path: The file; None: ``ledger-<stack>.json`` in `runtime_directory`.
        stack: Pools of stacks with different names do not see each other.
        process: Name of this process in messages to others.
    """

    def __init__(self, path: Path | None = None, *, stack: str = "bbia", process: str = "") -> None:
        safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in stack)
        self.path = path if path is not None else runtime_directory() / f"ledger-{safe}.json"
        self._file = SharedJson(self.path)
        self.pid = os.getpid()
        self._start = start_time(self.pid)
        self._process = process or f"process {self.pid}"
        self._mine: dict[str, dict[str, Any]] = {}
        self._limits: Limits | None = None
        self._set_by: tuple[int, int] | None = None

    def reserve(
        self,
        name: str,
        size: int,
        budget: int | None,
        *,
        task: str = "",
        group: str = "",
        group_limit: int | None = None,
        settled: int = 0,
    ) -> bool:
        """Enter a model that is about to load, if the totals stay within the limits.

        Args:
            name: The model; an entry of ours with this name is replaced.
            size: Bytes.
            budget: Bytes for all processes; None: no limit.
            task: What it is for.
            group: Its limit group or empty.
            group_limit: Most models of the group in all processes; None: no limit.
            settled: Bytes that it is expected to keep once it is loaded; 0: not known.

        Returns:
            Whether it was entered.
        """
        with self._file.change() as data:
            entries = self._live(data)
            key = self._key(name)
            entries.pop(key, None)
            fits = budget is None or sum(entry["bytes"] for entry in entries.values()) + size <= budget
            if group and group_limit is not None:
                fits = fits and sum(entry.get("group") == group for entry in entries.values()) < group_limit
            if fits:
                entry = self._entry(name, size, LOADING) | {"task": task, "group": group, "settled": int(settled)}
                entries[key] = self._mine[name] = entry
            data["entries"] = entries
        return fits

    def settle(self, name: str, size: int, state: str = "loaded") -> None:
        """The model is loaded and takes this many bytes."""
        with self._file.change() as data:
            old = self._mine.get(name, {})
            about = {"task": old.get("task", ""), "group": old.get("group", "")}
            self._mine[name] = self._entry(name, size, state) | about
            data["entries"] = self._live(data)

    def release(self, names: Iterable[str]) -> None:
        """These models are out of memory."""
        with self._file.change() as data:
            for name in names:
                self._mine.pop(name, None)
            data["entries"] = self._live(data)

    def retire(self, choose: Callable[[Limits | None, list[LedgerEntry]], Iterable[str]]) -> None:
        """Decide, while no other process can, which of our models leave, and have the others see it.

        Args:
            choose: Gets the limits in force and all entries; returns the names of ours that leave. Must be quick.

        Raises:
            LedgerError: The file cannot be used. Whatever `choose` returned is to be done all the same.
        """
        with self._file.change() as data:
            for name in choose(self._limits_in(data), self._listed(data)):
                if name in self._mine:
                    self._mine[name]["state"] = LEAVING
            data["entries"] = self._live(data)

    def version(self) -> object:
        """Differs after each change by whichever process; cheap."""
        return self._file.version()

    def clear(self) -> None:
        """Drop everything of this process; limits stay."""
        self.release(list(self._mine))

    def entries(self) -> list[LedgerEntry]:
        """What every live process of the stack holds or is loading, ours included."""
        return self._listed(self._file.read())

    def others(self) -> list[Occupant]:
        """What the other live processes hold or are loading."""
        return occupants_elsewhere(self.entries(), self)

    def set_limits(self, limits: Limits) -> None:
        """Put limits in force for every pool of the stack, until others are set.

        Raises:
            LedgerError: The file cannot be used.
        """
        with self._file.change() as data:
            data["limits"] = {
                "budget_bytes": limits.budget_bytes,
                "groups": dict(limits.groups),
                "eviction": limits.eviction,
                "pid": self.pid,
                "start": self._start,
                "process": self._process,
            }
        self._limits, self._set_by = limits, (self.pid, self._start)

    def limits(self) -> Limits | None:
        """The limits that were set last by a process that we saw alive; None if there are none."""
        return self._limits_in(self._file.read())

    def read(self) -> tuple[Limits | None, list[LedgerEntry]]:
        """`limits` and `entries` in one look at the file."""
        data = self._file.read()
        return self._limits_in(data), self._listed(data)

    def _listed(self, data: dict[str, Any]) -> list[LedgerEntry]:
        return [
            LedgerEntry(
                name=entry["name"],
                task=_text(entry, "task"),
                group=_text(entry, "group"),
                bytes=entry["bytes"],
                state=entry["state"],
                process=entry["process"],
                pid=entry["pid"],
                settled_bytes={LOADING: _count(entry, "settled"), LEAVING: 0}.get(entry["state"], entry["bytes"]),
            )
            for entry in (self._live(data, keep_ours=not self._mine)).values()
        ]

    def _limits_in(self, data: dict[str, Any]) -> Limits | None:
        raw = data.get("limits")
        if not isinstance(raw, dict):
            # A damaged file, or none yet: what we knew stays in force.
            return self._limits
        owner = (_count(raw, "pid"), _count(raw, "start"))
        if owner != self._set_by and not _alive(*owner):
            return self._limits
        try:
            self._limits = Limits(raw["budget_bytes"], raw["groups"], raw["eviction"])
            self._set_by = owner
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            _log.warning("%s: its limits cannot be read and are ignored: %s", self.path, error)
        return self._limits

    def _key(self, name: str) -> str:
        return f"{self.pid}:{self._start}:{name}"

    def _entry(self, name: str, size: int, state: str) -> dict[str, Any]:
        return {
            "pid": self.pid,
            "start": self._start,
            "process": self._process,
            "name": name,
            "bytes": int(size),
            "state": state,
        }

    def _live(self, data: dict[str, Any], keep_ours: bool = False) -> dict[str, dict[str, Any]]:
        """Well-formed entries of processes that live; ours are taken from memory unless we hold none."""
        raw = data.get("entries", {})
        alive: dict[tuple[int, int], bool] = {}
        live: dict[str, dict[str, Any]] = {}
        for key, entry in raw.items() if isinstance(raw, dict) else ():
            if not _well_formed(entry):
                _log.warning("%s: an entry that cannot be read was dropped: %s", self.path, key)
                continue
            owner = (entry["pid"], entry["start"])
            if owner == (self.pid, self._start) and not keep_ours:
                continue
            if owner not in alive:
                alive[owner] = _alive(*owner)
            if alive[owner]:
                live[key] = entry
        live.update({self._key(name): entry for name, entry in list(self._mine.items())})
        return live


def occupants_elsewhere(entries: Iterable[LedgerEntry], ours: Ledger | None) -> list[Occupant]:
    """Models of other processes as the admission sees them: they take room, and only their own pool lets them go."""
    return [
        Occupant(
            name=entry.name,
            group=entry.group,
            size=entry.bytes,
            last_used=0.0,
            evictable=False,
            state=f"{entry.state} in {entry.process}",
            settled=entry.settled_bytes,
        )
        for entry in entries
        if ours is None or entry.pid != ours.pid
    ]


def _text(entry: dict[str, Any], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def _count(entry: dict[str, Any], key: str) -> int:
    value = entry.get(key)
    return value if type(value) is int and value >= 0 else 0


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
