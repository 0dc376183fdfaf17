"""Memory, descriptors, threads and shared memory of a stack's processes, as the kernel counts them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bbia_ros.soak.processes import PROCESS, WORKER, Member

OUR_MEMFD = "/memfd:bbia-"
"""Beginning of the names of the memory that we share between processes."""
SHM = Path("/dev/shm")
MAPS_EVERY = 5
"""The lists of mappings are long and read only in every so manyth sample."""


@dataclass(frozen=True)
class ProcessSample:
    """One process at one time.

    Attributes:
        name: of the composition's process, or of the models in the worker.
        kind: process, worker or other.
        pid: its process id.
        pss: proportional set size [byte].
        uss: private bytes.
        anon: anonymous memory [byte], heaps and stacks: what leaks show in. Unlike the other two it does not depend on
            who else maps the same libraries and model files.
        fds: open descriptors.
        threads: threads.
    """

    name: str
    kind: str
    pid: int
    pss: int
    uss: int
    anon: int
    fds: int
    threads: int


@dataclass(frozen=True)
class Sample:
    """All processes of the stack at one time.

    Attributes:
        processes: each of them.
        memfds: pieces of shared memory that are ours, each counted once however many have it open.
        memfd_bytes: what they take.
        shm: files in /dev/shm that one of the processes has or had mapped (Fast DDS makes them).
        shm_bytes: what they take.
    """

    processes: tuple[ProcessSample, ...]
    memfds: int = 0
    memfd_bytes: int = 0
    shm: int = 0
    shm_bytes: int = 0

    @property
    def pss(self) -> int:
        """Of all processes [byte]."""
        return sum(process.pss for process in self.processes)

    @property
    def uss(self) -> int:
        """Private bytes of all processes."""
        return sum(process.uss for process in self.processes)

    @property
    def anon(self) -> int:
        """Anonymous memory of all processes [byte]."""
        return sum(process.anon for process in self.processes)

    @property
    def fds(self) -> int:
        """Open descriptors of all processes."""
        return sum(process.fds for process in self.processes)

    @property
    def threads(self) -> int:
        """Threads of all processes."""
        return sum(process.threads for process in self.processes)

    @property
    def workers(self) -> int:
        """How many of the processes run models."""
        return sum(process.kind == WORKER for process in self.processes)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Sample:
        """The sample that `plain` was made of."""
        rows = tuple(ProcessSample(**row) for row in data["processes"])
        return cls(rows, *(int(data[key]) for key in ("memfds", "memfd_bytes", "shm", "shm_bytes")))


@dataclass
class Sampler:
    """Takes samples. Owns the names in /dev/shm that were seen in use, as long as the files are there.

    Attributes:
        proc: where the kernel tells about processes.
        shm: the folder of shared memory files.
    """

    proc: Path = Path("/proc")
    shm: Path = SHM
    _names: set[str] = field(default_factory=set)
    _taken: int = 0

    def take(self, members: Iterable[Member], models: Mapping[int, str], whole: bool = False) -> Sample:
        """One sample; a process that ends meanwhile is left out.

        Args:
            members: the stack's processes.
            models: worker's pid -> the models that it runs.
            whole: look for files in /dev/shm now, not only in every fifth sample.
        """
        rows, inodes = [], {}
        mappings = whole or self._taken % MAPS_EVERY == 0
        self._taken += 1
        for member in members:
            try:
                used = _memory(self.proc / str(member.pid) / "smaps_rollup")
                fds = os.listdir(self.proc / str(member.pid) / "fd")
            except (OSError, KeyError):
                continue
            name = member.name if member.kind == PROCESS else models.get(member.pid, f"worker of {member.name}")
            rows.append(ProcessSample(name, member.kind, member.pid, *used, len(fds), member.threads))
            inodes.update(self._memfds(member.pid, fds))
            if mappings:
                self._names |= self._mapped(member.pid)
        sizes = {}
        for entry in self._names:
            try:
                sizes[entry] = (self.shm / entry).stat().st_blocks * 512
            except OSError:
                continue  # its owner has removed it
        self._names = set(sizes)
        return Sample(tuple(rows), len(inodes), sum(inodes.values()), len(sizes), sum(sizes.values()))

    def left_behind(self) -> list[str]:
        """Names in /dev/shm that were in use and are still there: to be asked when the stack has ended."""
        return sorted(name for name in self._names if (self.shm / name).exists())

    def _memfds(self, pid: int, fds: Iterable[str]) -> dict[int, int]:
        found = {}
        for fd in fds:
            path = self.proc / str(pid) / "fd" / fd
            try:
                if os.readlink(path).startswith(OUR_MEMFD):
                    status = os.stat(path)
                    found[status.st_ino] = status.st_blocks * 512
            except OSError:
                continue  # closed meanwhile
        return found

    def _mapped(self, pid: int) -> set[str]:
        prefix = f"{self.shm}/"
        try:
            lines = (self.proc / str(pid) / "maps").read_text(errors="replace").splitlines()
        except OSError:
            return set()
        paths = {line[line.index(prefix) :] for line in lines if prefix in line}
        return {path.removeprefix(prefix).removesuffix(" (deleted)") for path in paths}


def _memory(rollup: Path) -> tuple[int, int, int]:
    """(PSS, private, anonymous) bytes of a process; KeyError: it is a zombie, without memory."""
    lines = (line.split() for line in rollup.read_text().splitlines()[1:])
    figures = {line[0]: 1024 * int(line[1]) for line in lines}
    private = figures["Private_Clean:"] + figures["Private_Dirty:"] + figures.get("Private_Hugetlb:", 0)
    return figures["Pss:"], private, figures["Anonymous:"]
