"""Memory of a stack's processes sampled over time, straight from /proc: nothing here trusts what the stack says.

Every process of the stack counts, with all that descend from it. PSS is shared fairly among the processes that map a
page, private bytes are what comes back when the process ends (residency/accounting.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bbia_ros.residency.accounting import Memory, memory
from bbia_ros.residency.errors import ProcessGone
from bbia_ros.soak.processes import WORKER, family

KEPT = 20_000
"""Most samples of one sampler: half an hour at 10 Hz."""


@dataclass(frozen=True)
class Sample:
    """Memory of all processes at one time.

    Attributes:
        stamp_s: time.monotonic() when the reading was half done [s].
        shells: pid -> memory of all others.
        workers: pid -> memory of those that run models.
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


def take(processes: Mapping[str, int]) -> Sample:
    """A sample now; who ends meanwhile is left out.

    Args:
        processes: pids of the stack's processes by name, children of this one.
    """
    begun = time.monotonic()
    shells: dict[int, Memory] = {}
    workers: dict[int, Memory] = {}
    for member in family(processes):
        try:
            (workers if member.kind == WORKER else shells)[member.pid] = memory(member.pid)
        except ProcessGone:
            continue
    return Sample((begun + time.monotonic()) / 2, shells, workers)


class Sampler:
    """Samples in a thread of its own.

    Args:
        processes: asked before each sample for the pids of the stack's processes by name, children of this one.
        period_s: from the begin of one sample to the next [s].

    Attributes:
        samples: in order; at most KEPT, then sampling stops.
    """

    def __init__(self, processes: Callable[[], Mapping[str, int]], period_s: float = 0.1) -> None:
        self.samples: list[Sample] = []
        self._processes, self._period_s = processes, period_s
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
            self.samples.append(take(self._processes()))
            due = max(due + self._period_s, time.monotonic())
