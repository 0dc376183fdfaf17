"""How much memory a process uses, from /proc. All figures in bytes.

PSS shares what several processes map, USS (private bytes) counts only what would come back if the process
ended. PSS is for totals and display; admission uses private bytes, because PSS of the others grows when one
sharer goes. Pages of files that nobody else maps are private too (mapped weights, a library that one worker uses):
the kernel could drop and read them again, but a model that is used needs them, and they come back when it ends.

Reading ``smaps_rollup`` takes up to 43 ms for a 2 GB process (`MemorySampler`), ``statm`` 20 us (`PrivateGauge`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from bbia_ros.residency.errors import ProcessGone

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Memory(NamedTuple):
    """Memory of one process [bytes]: resident, proportional, private; and on the GPU, where that was asked for."""

    rss: int
    pss: int
    uss: int
    vram: int = 0


def memory(pid: int | str) -> Memory:
    """Read resident, proportional and private bytes of a process (``"self"`` for our own).

    Raises:
        ProcessGone: There is no such process, or it may not be inspected.
    """
    figures = _kilobytes(pid, "smaps_rollup", ("Rss", "Pss", "Private_Clean", "Private_Dirty", "Private_Hugetlb"))
    private = figures["Private_Clean"] + figures["Private_Dirty"] + figures.get("Private_Hugetlb", 0)
    return Memory(rss=figures["Rss"], pss=figures["Pss"], uss=private)


def pss_bytes(pid: int | str) -> int:
    """Proportional set size; raises ProcessGone."""
    return memory(pid).pss


def uss_bytes(pid: int | str) -> int:
    """Private bytes: what comes back when the process ends; raises ProcessGone."""
    return memory(pid).uss


def peak_bytes(pid: int | str) -> int:
    """Largest resident set so far (VmHWM), since the start or `reset_peak`; raises ProcessGone."""
    return _kilobytes(pid, "status", ("VmHWM",))["VmHWM"]


def reset_peak() -> None:
    """Let VmHWM of our own process start again from what is resident now, where the kernel allows it."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        # Then the peak includes earlier loads in this process: too large is the safe side.
        pass


def mem_available() -> int:
    """What the kernel estimates can be allocated without swapping (MemAvailable)."""
    with open("/proc/meminfo") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    raise OSError("/proc/meminfo has no MemAvailable (Linux 3.14 or newer is needed)")


def start_time(pid: int) -> int:
    """Start of a process in clock ticks since boot: with the pid it names a process for good.

    Raises:
        ProcessGone: There is no such process, or only its zombie is left.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError as error:
        raise ProcessGone(f"no process {pid}") from error
    if len(fields) < 20 or fields[0] in (b"Z", b"X"):
        raise ProcessGone(f"process {pid} has ended")
    return int(fields[19])


def _kilobytes(pid: int | str, file_name: str, wanted: tuple[str, ...]) -> dict[str, int]:
    figures: dict[str, int] = {}
    try:
        with open(f"/proc/{pid}/{file_name}") as file:
            for line in file:
                key, _, rest = line.partition(":")
                if key in wanted:
                    figures[key] = int(rest.split()[0]) * 1024
    except OSError as error:
        raise ProcessGone(f"memory of process {pid} cannot be read: it has ended or belongs to someone else") from error
    if len(figures) < min(len(wanted), 4):
        # A zombie has a status without memory figures and an empty smaps_rollup.
        raise ProcessGone(f"process {pid} has ended")
    return figures


class PrivateGauge:
    """Tells cheaply when a process's private bytes exceed a limit; for one thread at a time.

    What is resident is read from statm. It exceeds the private bytes by what is shared with others: that is known from
    the last exact reading. The next one is made when it seems that the limit is exceeded, when asked for (what was
    shared becomes private when the other sharers end), and after `_EXACT_S`, because not all sharers are known.
    """

    _EXACT_S = 10.0

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._shared = 0
        self._exact_at = float("-inf")

    def over(self, limit: int, exact: bool = False) -> int:
        """Private bytes if they are more than `limit`, else 0; also 0 if the process is gone."""
        try:
            stale = exact or time.monotonic() - self._exact_at > self._EXACT_S
            if not stale and _resident(self._pid) - self._shared <= limit:
                return 0
            now = memory(self._pid)
        except ProcessGone:
            return 0
        self._shared, self._exact_at = now.rss - now.uss, time.monotonic()
        return now.uss if now.uss > limit else 0


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError) as error:
        raise ProcessGone(f"process {pid} has ended") from error


class MemorySampler:
    """Memory of processes, at most `period_s` old or so, without the caller ever waiting for /proc.

    Owns one daemon thread, which exists only while someone asks: it ends when nobody asked for `linger_s`.
    """

    def __init__(self, period_s: float = 1.0, linger_s: float = 5.0, read: Callable[[int], Memory] = memory) -> None:
        self._period_s = period_s
        self._linger_s = linger_s
        self._read = read
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._asked: dict[int, float] = {}
        self._samples: dict[int, Memory] = {}
        self._closed = False

    def get(self, pid: int) -> Memory | None:
        """Latest sample of this process; None if there is none yet or the process is gone. Never blocks."""
        with self._lock:
            new = pid not in self._asked
            self._asked[pid] = time.monotonic()
            if not self._closed:
                if self._thread is None:
                    self._wake.clear()
                    self._thread = threading.Thread(target=self._run, name="bbia-memory", daemon=True)
                    self._thread.start()
                elif new:
                    self._wake.set()
            return self._samples.get(pid)

    def close(self) -> None:
        """End the thread; samples taken so far stay readable."""
        with self._lock:
            self._closed = True
            thread = self._thread
            self._wake.set()
        if thread is not None:
            thread.join(timeout=2.0)

    def _run(self) -> None:
        while True:
            with self._lock:
                cutoff = time.monotonic() - self._linger_s
                self._asked = {pid: when for pid, when in self._asked.items() if when > cutoff}
                self._samples = {pid: sample for pid, sample in self._samples.items() if pid in self._asked}
                if self._closed or not self._asked:
                    self._thread = None
                    return
                pids = list(self._asked)
                self._wake.clear()
            for pid in pids:
                try:
                    sample = self._read(pid)
                except ProcessGone:
                    with self._lock:
                        self._samples.pop(pid, None)
                        self._asked.pop(pid, None)
                else:
                    with self._lock:
                        self._samples[pid] = sample
            if self._wake.wait(self._period_s):
                # A new process, or close: a short pause bounds the rate whatever the callers do.
                time.sleep(min(0.05, self._period_s))
