"""Memory of a stack's processes sampled over time, straight from /proc: nothing here trusts what the stack says.

Every process below the roots counts; a worker is one that runs bbia_ros.residency.worker. PSS is shared fairly among
the processes that map a page, private bytes are what comes back when the process ends (residency/accounting.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bbia_ros.residency.accounting import Memory, memory
from bbia_ros.residency.errors import ProcessGone

WORKER = "bbia_ros.residency.worker"
KEPT = 20_000
"""Most samples of one sampler: half an hour at 10 Hz."""


@dataclass(frozen=True)
class Sample:
    """Memory of all processes at one time.

    Attributes:
        stamp_s: time.monotonic() when the reading was half done [s].
        shells: pid -> memory of the processes that are no workers.
        workers: pid -> memory of the workers.
    """

    stamp_s: float
    shells: Mapping[int, Memory]
    workers: Mapping[int, Memory]

    @property
    def total_pss(self) -> int:
        """PSS of everything [bytes]."""
        return sum(one.pss for one in (*self.shells.values(), *self.workers.values()))

    @property
    def workers_pss(self) -> int:
        """PSS of the workers [bytes]."""
        return sum(one.pss for one in self.workers.values())

    @property
    def workers_uss(self) -> int:
        """Private bytes of the workers."""
        return sum(one.uss for one in self.workers.values())


@dataclass(frozen=True)
class Excess:
    """How a series stood to a limit.

    Attributes:
        total_s: time above it [s].
        longest_s: longest stretch above it [s].
        worst: largest value of the series.
    """

    total_s: float
    longest_s: float
    worst: float


def excess(series: Sequence[tuple[float, float]], limit: float) -> Excess:
    """Time above a limit. A sample holds until the next one; a stretch ends with the first sample that is not above.

    Args:
        series: (time [s], value), in order of time.
        limit: above it is over.

    Raises:
        ValueError: there are no samples.
    """
    if not series:
        raise ValueError("no samples")
    total = longest = stretch = 0.0
    for (begin, value), (end, _) in pairwise(series):
        stretch = stretch + end - begin if value > limit else 0.0
        total += end - begin if value > limit else 0.0
        longest = max(longest, stretch)
    return Excess(total, longest, max(value for _, value in series))


def mean(series: Sequence[tuple[float, float]]) -> float:
    """Mean over time; a sample holds until the next one.

    Raises:
        ValueError: fewer than two samples, or all at one time.
    """
    if len(series) < 2 or series[-1][0] <= series[0][0]:
        raise ValueError("a mean over time needs two samples")
    area = sum(value * (end - begin) for (begin, value), (end, _) in pairwise(series))
    return area / (series[-1][0] - series[0][0])


def family(roots: Iterable[int], proc: Path = Path("/proc")) -> list[int]:
    """The processes and all that descend from them, parents first; who ends meanwhile is left out."""
    children: dict[int, list[int]] = {}
    present = set()
    for entry in proc.iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)) is not None:
            present.add(int(entry.name))
            children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid for pid in dict.fromkeys(roots) if pid in present]
    while waiting:
        pid = waiting.pop(0)
        if pid not in found:
            found.append(pid)
            waiting += children.get(pid, [])
    return found


def is_worker(pid: int, proc: Path = Path("/proc")) -> bool:
    """Whether the process runs a model for a pool."""
    try:
        return WORKER in (proc / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False


def take(roots: Iterable[int], workers: dict[int, bool] | None = None) -> Sample:
    """A sample now.

    Args:
        roots: pids of the stack's processes.
        workers: what is known of pids: whether they are workers. Updated; a command line does not change.
    """
    known = {} if workers is None else workers
    begun = time.monotonic()
    sorted_out: dict[bool, dict[int, Memory]] = {False: {}, True: {}}
    for pid in family(roots):
        try:
            figures = memory(pid)
        except ProcessGone:
            continue
        if not known.get(pid):  # between fork and exec a worker looks like its parent
            known[pid] = is_worker(pid)
        sorted_out[known[pid]][pid] = figures
    return Sample((begun + time.monotonic()) / 2, sorted_out[False], sorted_out[True])


class Sampler:
    """Samples in a thread of its own.

    Args:
        roots: asked before each sample for the pids of the stack's processes.
        period_s: from the begin of one sample to the next [s].

    Attributes:
        samples: in order; at most KEPT, then sampling stops.
    """

    def __init__(self, roots: Callable[[], Iterable[int]], period_s: float = 0.1) -> None:
        self.samples: list[Sample] = []
        self._roots, self._period_s = roots, period_s
        self._known: dict[int, bool] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def __enter__(self) -> Sampler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self._thread.join()

    def series(self, value: Callable[[Sample], float]) -> list[tuple[float, float]]:
        """(time [s], value of the sample) of all samples so far."""
        return [(sample.stamp_s, value(sample)) for sample in list(self.samples)]

    def _run(self) -> None:
        due = time.monotonic()
        while len(self.samples) < KEPT and not self._stop.wait(max(0.0, due - time.monotonic())):
            self.samples.append(take(self._roots(), self._known))
            due = max(due + self._period_s, time.monotonic())


def _parent(process: Path) -> int | None:
    """Parent of a process from its stat file; None: it has ended."""
    try:
        # The name in brackets may hold spaces and brackets of its own.
        return int((process / "stat").read_bytes().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None
