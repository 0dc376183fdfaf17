"""Which processes belong to a stack, and signals that reach no other.

A process is named by its pid and the time it started: a pid alone may belong to somebody else a moment later.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
WORKER_MODULE = b"bbia_ros.residency.worker"
PROCESS, WORKER, OTHER = "process", "worker", "other"


class NotOurs(LookupError):
    """The process has ended, or its pid belongs to another one now; no signal was sent."""


@dataclass(frozen=True)
class Entry:
    """One line of the kernel's list of processes: pid, parent, start [clock ticks since boot], number of threads."""

    pid: int
    parent: int
    start: int
    threads: int


@dataclass(frozen=True)
class Member:
    """A living process of the stack.

    Attributes:
        pid: with `start` it names the process for good.
        start: [clock ticks since boot].
        parent: pid of its parent.
        kind: process (runs nodes), worker (runs models) or other (a worker just being started, or a tool).
        name: of the composition's process, or of the process that a worker belongs to.
        threads: number of threads.
    """

    pid: int
    start: int
    parent: int
    kind: str
    name: str
    threads: int = 0

    @property
    def key(self) -> tuple[int, int]:
        """What is the same as long as it is the same process."""
        return self.pid, self.start


def entry(pid: int, proc: Path = PROC) -> Entry | None:
    """What the kernel says about a process; None when there is none, or only its zombie."""
    try:
        fields = (proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    if len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return None
    return Entry(pid, int(fields[1]), int(fields[19]), int(fields[17]))


def entries(proc: Path = PROC) -> dict[int, Entry]:
    """Every living process of the machine, by pid."""
    found = (entry(int(name), proc) for name in os.listdir(proc) if name.isdigit())
    return {each.pid: each for each in found if each is not None}


def family(roots: Mapping[str, int], parent: int | None = None, proc: Path = PROC) -> list[Member]:
    """The processes of a stack and all their descendants, parents first.

    Args:
        roots: pid of each process of the composition, by name.
        parent: who started them; None: this process. What is not its child is left out: the pid was given to another.
        proc: where the kernel's list is.
    """
    parent = os.getpid() if parent is None else parent
    table = entries(proc)
    children: dict[int, list[Entry]] = {}
    for each in table.values():
        children.setdefault(each.parent, []).append(each)
    found = []
    for name, pid in sorted(roots.items()):
        root = table.get(pid)
        if root is None or root.parent != parent:
            continue
        found.append(Member(pid, root.start, parent, PROCESS, name, root.threads))
        waiting = [pid]
        while waiting:
            for child in sorted(children.get(waiting.pop(), ()), key=lambda each: each.start):
                kind = WORKER if child.parent == pid and _is_worker(child.pid, proc) else OTHER
                found.append(Member(child.pid, child.start, child.parent, kind, name, child.threads))
                waiting.append(child.pid)
    return found


def workers(members: Iterable[Member]) -> list[Member]:
    """Those of them that run models, and nothing else."""
    return [member for member in members if member.kind == WORKER]


def send(member: Member, number: int) -> None:
    """Sends a signal to this very process.

    The descriptor is opened before the check, so that what was checked is what gets the signal.

    Raises:
        NotOurs: it has ended, or its pid is another process's now.
        PermissionError: it may not be signalled.
    """
    try:
        descriptor = os.pidfd_open(member.pid)
    except ProcessLookupError:
        raise NotOurs(f"process {member.pid} has ended") from None
    try:
        present = entry(member.pid)
        if present is None or (present.start, present.parent) != (member.start, member.parent):
            raise NotOurs(f"process {member.pid} is not the one that it was")
        try:
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            raise NotOurs(f"process {member.pid} has ended") from None
    finally:
        os.close(descriptor)


def alive(member: Member) -> bool:
    """Whether this very process still lives."""
    present = entry(member.pid)
    return present is not None and present.start == member.start


def _is_worker(pid: int, proc: Path) -> bool:
    try:
        return WORKER_MODULE in (proc / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
