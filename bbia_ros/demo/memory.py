"""The stack's memory as the operating system counts it, sampled while the play goes on."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from bbia_ros.residency.accounting import pss_bytes
from bbia_ros.residency.errors import ProcessGone

PERIOD_S = 0.5
"""Sampling period; a sample of the whole stack costs some ten milliseconds."""
KEPT = 2000
"""Samples kept: a quarter of an hour."""


@dataclass(frozen=True)
class Sample:
    """Total PSS at a time.

    Attributes:
        stamp_s: ROS time, which is wall time here [s].
        total_bytes: over all processes of the stack.
        workers: how many of them are workers.
        processes: pid -> PSS [byte].
    """

    stamp_s: float
    total_bytes: int
    workers: int
    processes: Mapping[int, int] = field(default_factory=dict)


def measure(pids: Iterable[int]) -> tuple[dict[int, int], int]:
    """(pid -> PSS [byte], number of workers) of processes and all their descendants."""
    import psutil

    family: dict[int, psutil.Process] = {}
    for pid in pids:
        try:
            process = psutil.Process(pid)
            for member in (process, *process.children(recursive=True)):
                family[member.pid] = member
        except psutil.NoSuchProcess:
            continue
    found, workers = dict[int, int](), 0
    for pid, member in family.items():
        try:
            found[pid] = pss_bytes(pid)
            workers += any("bbia_ros.residency.worker" in word for word in member.cmdline())
        except (ProcessGone, psutil.NoSuchProcess):
            continue
    return found, workers


class MemoryMeter:
    """Samples the stack's memory in a thread of its own.

    Attributes:
        samples: the last 2000.
    """

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self.samples: deque[Sample] = deque(maxlen=KEPT)
        self._pids = pids
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
        self._thread.start()

    def now(self) -> Sample:
        """A sample taken now."""
        processes, workers = measure(self._pids())
        sample = Sample(time.time(), sum(processes.values()), workers, processes)
        self.samples.append(sample)
        return sample

    def settled(self, workers: int, timeout_s: float, within_bytes: int = 500_000) -> Sample:
        """Waits until so many workers are left and two samples a second apart agree; the last sample in any case."""
        deadline = time.monotonic() + timeout_s
        before = self.now()
        while not self._stop.wait(1.0):
            sample = self.now()
            if sample.workers == workers and abs(sample.total_bytes - before.total_bytes) <= within_bytes:
                return sample
            if time.monotonic() > deadline:
                return sample
            before = sample
        return before

    def close(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(PERIOD_S):
            self.now()
