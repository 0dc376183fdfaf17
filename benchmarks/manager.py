"""The manager: bringing the stack up, changing modes, noticing what dies, ending it.

Run with `bbia bench manager`, or alone: `python -m benchmarks.manager [--quick]`. The stack has the stand-in driver, so
that the figures are the manager's and not the simulator's.
"""

from __future__ import annotations

import os
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.harness import Figure, figure, main

MODES = ("converse", "idle", "watch", "sleep")


def figures(quick: bool) -> list[Figure]:
    """Measures; `quick` repeats less."""
    from bbia_ros.bringup import Options, Stack

    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 99)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        stack = Stack(Options(mode="sleep", driver="mock"), log_folder=Path(folder))
        with stack:
            stack.wait_ready(60.0)
            up_s = time.perf_counter() - began
            changes = mode_changes(stack, 2 if quick else 10)
            idle = cpu_percent(stack.processes["manager"], 3.0 if quick else 15.0)
            noticed, back = deaths(stack, 1 if quick else 5)
            began = time.perf_counter()
        down_s = time.perf_counter() - began
    return [
        figure("manager.up_s", "start of the processes to every node in its state (mode sleep)", up_s, "s"),
        figure("manager.mode_change_s", "set_mode to its answer, median over changes among four modes",
               statistics.median(changes), "s"),
        figure("manager.mode_change_max_s", "the slowest of them", max(changes), "s"),
        figure("manager.death_noticed_s", "SIGKILL of the brain process to its nodes being unknown", noticed, "s"),
        figure("manager.back_s", "SIGKILL of the brain process to all its nodes back in their states", back, "s"),
        figure("manager.cpu_percent", "the manager's share of a core while nothing changes", idle, "%"),
        figure("manager.down_s", "end of the whole stack in order", down_s, "s", goal="<= 5"),
    ]  # fmt: skip


def mode_changes(stack: Any, rounds: int) -> list[float]:
    """Durations of set_mode [s]."""
    durations = []
    for _ in range(rounds):
        for mode in MODES:
            began = time.perf_counter()
            ok, message = stack.client.set_mode(mode)
            durations.append(time.perf_counter() - began)
            if not ok:
                raise RuntimeError(message)
    return durations


def deaths(stack: Any, count: int) -> tuple[float, float]:
    """Median times from a SIGKILL of brain until it is noticed, and until its nodes are back [s]."""
    noticed, back = [], []
    for _ in range(count):
        began = time.perf_counter()
        os.kill(stack.processes["brain"], signal.SIGKILL)
        stack.client.wait_for_status(lambda s: any(n.state == "unknown" for n in s.nodes), 10.0)
        noticed.append(time.perf_counter() - began)
        stack.client.wait_for_status(lambda s: all(n.state in ("active", "inactive") for n in s.nodes), 60.0)
        back.append(time.perf_counter() - began)
    return statistics.median(noticed), statistics.median(back)


def cpu_percent(pid: int, seconds: float) -> float:
    """Share of a core over so long [%]."""
    process = psutil.Process(pid)
    process.cpu_percent()
    time.sleep(seconds)
    return float(process.cpu_percent())


if __name__ == "__main__":
    raise SystemExit(main(figures, "manager"))
