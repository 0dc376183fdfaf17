"""How short of memory the machine is: MemAvailable, pressure stall information (PSI), our control group. No ROS here.

MemAvailable is the base signal, which every Linux has. The others are extras: Raspberry Pi OS ships without PSI (until
``psi=1`` stands on the kernel's command line) and without the memory control group. What is not there is an `Absent`
with its reason, never a zero.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MB = 1_000_000
_MOST_BYTES = 65_536
"""No file read here is longer; one that is, is not what it should be."""


@dataclass(frozen=True)
class Absent:
    """A figure that cannot be had.

    Attributes:
        reason: a sentence saying why, and what to do where something can be done.
        normal: the machine simply lacks it; otherwise a file is not as it should be.
    """

    reason: str
    normal: bool = True


@dataclass(frozen=True)
class Stall:
    """Pressure stall information: share of the last 10 s in which tasks waited for memory.

    Attributes:
        some: [%] at least one task waited.
        full: [%] all tasks waited; NaN where the kernel does not tell.
    """

    some: float
    full: float


@dataclass(frozen=True)
class ControlGroup:
    """The control group (version 2) that leaves this process the least room: its own, or one above it.

    Attributes:
        path: as in /proc/self/cgroup.
        used: [byte] memory.current without inactive file pages, which the kernel drops first.
        limit: [byte] the lower of memory.high (above it the kernel throttles) and memory.max (above it, it kills).
        stall: memory.pressure of this group.
    """

    path: str
    used: int
    limit: int
    stall: Stall | Absent

    @property
    def headroom(self) -> int:
        """What may still be used [byte]."""
        return max(0, self.limit - self.used)


@dataclass(frozen=True)
class Reading:
    """All figures of one moment.

    Attributes:
        available: [byte] MemAvailable: what can be used without swapping.
        stall: PSI of the machine.
        group: our control group.
    """

    available: int | Absent
    stall: Stall | Absent
    group: ControlGroup | Absent


class PressureReader:
    """Reads the figures; about 0.1 ms in all, more with a deep hierarchy of control groups.

    Owns nothing between two readings but what it has complained about. Not thread-safe.

    Args:
        root: folder that holds ``proc`` and ``sys/fs/cgroup``; another than / for tests.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._proc = root / "proc"
        self._groups = root / "sys/fs/cgroup"
        self._told: set[str] = set()

    def read(self) -> Reading:
        """The figures now. Never fails: what cannot be read is Absent."""
        return Reading(self._available(), self._stall(self._proc / "pressure/memory"), self._group())

    def news(self, reading: Reading) -> list[Absent]:
        """What of a reading is absent and was not told before; each reason once."""
        group = reading.group
        absent = [reading.available, reading.stall, group if isinstance(group, Absent) else group.stall]
        new = [one for one in absent if isinstance(one, Absent) and one.reason not in self._told]
        self._told |= {one.reason for one in new}
        return new

    def _available(self) -> int | Absent:
        path = self._proc / "meminfo"
        text = _text(path)
        if isinstance(text, OSError):
            return Absent(f"{path} cannot be read ({text.strerror}): memory pressure is not watched", normal=False)
        for line in text.splitlines():
            key, _, rest = line.partition(":")
            if key == "MemAvailable":
                number = rest.strip().partition(" ")[0]
                if number.isdecimal():
                    return int(number) * 1024
                return Absent(f"MemAvailable in {path} is no number: memory pressure is not watched", normal=False)
        return Absent(f"{path} has no MemAvailable: memory pressure is not watched", normal=False)

    def _stall(self, path: Path) -> Stall | Absent:
        text = _text(path)
        if isinstance(text, OSError):
            if text.errno in (errno.ENOENT, errno.EOPNOTSUPP):
                hint = "; psi=1 on the kernel's command line may bring it" if path.parent.name == "pressure" else ""
                return Absent(f"{path} is not there, so PSI is not known{hint}")
            return Absent(f"{path} cannot be read ({text.strerror}), so PSI is not known", normal=False)
        shares: dict[str, float] = {}
        for line in text.splitlines():
            kind, *fields = line.split() or [""]
            for field in fields:
                key, _, value = field.partition("=")
                if kind in ("some", "full") and key == "avg10":
                    shares[kind] = _percent(value)
        if math.isnan(shares.get("some", math.nan)):
            return Absent(f"{path} does not tell 'some avg10=' in percent, so PSI is not known", normal=False)
        return Stall(shares["some"], shares.get("full", math.nan))

    def _group(self) -> ControlGroup | Absent:
        path = self._proc / "self/cgroup"
        text = _text(path)
        if isinstance(text, OSError):
            return Absent(f"{path} cannot be read ({text.strerror}), so our control group is not known")
        own = ""
        for line in text.splitlines():
            number, _, rest = line.partition(":")
            controllers, _, name = rest.partition(":")
            if "memory" in controllers.split(","):
                return Absent("memory is in a control group of version 1, whose limits are not watched")
            if number == "0" and not controllers:
                own = name
        if not own.startswith("/"):
            return Absent(f"{path} names no control group of version 2, so no limit is known")
        if not (self._groups / "cgroup.controllers").exists():
            return Absent(f"{self._groups} is no control group of version 2, so no limit is known")
        return self._tightest(own)

    def _tightest(self, own: str) -> ControlGroup | Absent:
        found: ControlGroup | None = None
        folder, wrong = self._groups, ""
        for name in _upwards(own):
            folder = self._groups / name.lstrip("/")
            limits = [self._bytes(folder / "memory.high"), self._bytes(folder / "memory.max")]
            current = self._bytes(folder / "memory.current")
            wrong = wrong or next((figure for figure in (*limits, current) if isinstance(figure, str)), "")
            limit = min((figure for figure in limits if isinstance(figure, int)), default=None)
            if limit is None or not isinstance(current, int):
                continue  # without a limit, or gone meanwhile
            used = max(0, current - self._inactive_file(folder / "memory.stat"))
            one = ControlGroup(name, used, limit, Absent(""))
            if found is None or one.headroom < found.headroom:
                found = one
        if found is not None:
            stall = self._stall(self._groups / found.path.lstrip("/") / "memory.pressure")
            return ControlGroup(found.path, found.used, found.limit, stall)
        if wrong:
            return Absent(wrong, normal=False)
        return Absent(f"the control group {own} has no memory limit")

    def _bytes(self, path: Path) -> int | str | None:
        """A figure of a control group; None where there is none ("max", or no such file); a sentence if malformed."""
        text = _text(path)
        if isinstance(text, OSError):
            return None if text.errno in (errno.ENOENT, errno.ENODEV) else f"{path} cannot be read ({text.strerror})"
        word = text.strip()
        if word == "max":
            return None
        return int(word) if word.isdecimal() else f"{path} holds no number of bytes"

    def _inactive_file(self, path: Path) -> int:
        text = _text(path)
        if isinstance(text, str):
            for line in text.splitlines():
                key, _, value = line.partition(" ")
                if key == "inactive_file" and value.strip().isdecimal():
                    return int(value)
        return 0  # then file pages count as used: too much is the safe side


def _text(path: Path) -> str | OSError:
    """The beginning of a file of /proc or /sys; the error where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(_MOST_BYTES).decode("ascii", errors="replace")
    except OSError as error:
        return error


def _percent(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        return math.nan
    return value if 0 <= value <= 100 else math.nan


def _upwards(group: str) -> Iterator[str]:
    """The group and those above it. One that lies outside our namespace ("/../x") is seen from its root."""
    path = PurePosixPath(os.path.normpath(group.removesuffix(" (deleted)")))
    if ".." in PurePosixPath(group).parts:
        path = PurePosixPath("/")
    yield str(path)
    for parent in path.parents:
        yield str(parent)
