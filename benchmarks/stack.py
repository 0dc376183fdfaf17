"""The stack at work: the demonstration's play, measured. One run gives memory, start-up, answers, motion loop.

The baseline of the answer latency is the time that the person must be silent before the turn counts as over
(speech's end-of-turn parameter): no system that waits for it can answer faster.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bbia_ros.bringup import COMPOSITIONS
from bbia_ros.demo.memory import Sample
from benchmarks.bare_nodes import total_pss_mb
from benchmarks.harness import Figure, figure, main
from benchmarks.sampling import mean
from benchmarks.specs import TASKS

RESIDENT = {*TASKS, "simulator", "camera"}
"""Tasks whose models are in memory when everything is."""


def figures(quick: bool) -> list[Figure]:
    """Plays the demonstration once without the film; `quick` changes nothing, the play takes two minutes."""
    from bbia_ros.demo.run import DemoOptions, play_visit

    with tempfile.TemporaryDirectory(prefix="bbia-bench-") as folder:
        visit = play_visit(DemoOptions(out=Path(folder)), Path(folder), Console())
    run = visit.run
    missed = [finding.key for finding in run.findings if not finding.passed]
    note = f"expectations missed: {', '.join(missed)}" if missed else ""

    def value(key: str) -> float | None:
        return run.figures[key][0] if key in run.figures else None

    before, after = value("memory.sleep_before_mb"), value("memory.sleep_after_mb")
    latencies = sorted(run.latencies.values())
    typical = latencies[len(latencies) // 2] if latencies else None
    states = [heard.message for heard in visit.history["motion/state"]]
    statuses = [heard.message for heard in visit.history["manager/status"]]
    shells = _shells_mb(statuses)
    names = names_of(statuses)
    fullest, parts = peak(visit.samples, names)
    resident, _ = peak([sample for sample in visit.samples if all_resident(sample, statuses)], names)
    average = mean([(sample.stamp_s, sample.total_bytes) for sample in visit.samples])
    bare = total_pss_mb([len(nodes) for nodes in COMPOSITIONS["split"].values()])
    return [
        figure(
            "memory.inactive_after_pss_mb",
            "shells of all nodes in sleep after the visit, workers apart, against bare lifecycle nodes",
            shells,
            "MB",
            baseline=bare,
        ),
        figure(
            "memory.sleep_mb", "total PSS in sleep after the visit, against before it", after, "MB", baseline=before
        ),
        figure(
            "memory.sleep_growth_mb",
            "growth over the visit",
            value("memory.sleep_growth_mb"),
            "MB",
            goal="<= 5",
            note=note,
        ),
        figure(
            "memory.peak_converse_mb",
            "peak total PSS in converse, profile lite, simulation included",
            fullest,
            "MB",
            goal="<= 1100",
            note=parts,
        ),
        figure(
            "memory.peak_resident_mb",
            "the same while every model was in memory",
            resident,
            "MB",
            goal="<= 1100",
            note="" if resident else "they never were all at once",
        ),
        figure("memory.mean_demo_mb", "mean total PSS over the demonstration", average / 1e6, "MB"),
        figure("operations.up_s", "from `bbia up` to every node in its state (sleep)", value("operations.up_s"), "s"),
        figure(
            "operations.ready_s", "from converse to eyes and ears loaded", value("operations.converse_ready_s"), "s"
        ),
        figure(
            "operations.answer_s",
            "last voiced sample to the answer's first, median of the lines",
            typical,
            "s",
            goal="<= 1.5",
        ),
        figure("operations.answer_max_s", "the same, slowest line", latencies[-1] if latencies else None, "s"),
        figure(
            "motion.follow_deg",
            "following a visitor at 15 deg/s, median error",
            value("motion.follow_median_deg"),
            "deg",
            goal="<= 5",
        ),
        figure("motion.look_at_deg", "gaze to the apple, error", value("motion.look_at_error_deg"), "deg", goal="<= 5"),
        *_loop(states),
    ]


def names_of(statuses: Iterable[Any]) -> dict[int, str]:
    """Pid -> what ran there, from StackStatus messages: a process by its name, a worker by its models' tasks."""
    found: dict[int, str] = {}
    for status in statuses:
        for process in status.processes:
            found.setdefault(process.pid, process.name)
        workers: dict[int, list[str]] = {}
        for model in status.models:
            if model.pid:
                workers.setdefault(model.pid, []).append(model.task)
        found |= {pid: "+".join(tasks) for pid, tasks in workers.items()}
    return found


def all_resident(sample: Sample, statuses: Iterable[Any]) -> bool:
    """Whether a worker of every task was alive in the sample."""
    here = {model.task for status in statuses for model in status.models if model.pid in sample.processes}
    return here >= RESIDENT


def peak(samples: Sequence[Sample], names: Mapping[int, str]) -> tuple[float | None, str]:
    """Largest total [MB] and how it was made up, largest first; (None, "") without samples."""
    if not samples:
        return None, ""
    largest = max(samples, key=lambda sample: sample.total_bytes)
    rows = sorted(largest.processes.items(), key=lambda row: -row[1])
    parts = ", ".join(f"{names.get(pid, 'unnamed')} {size / 1e6:.0f}" for pid, size in rows)
    return largest.total_bytes / 1e6, parts


def _shells_mb(statuses: list[Any]) -> float | None:
    """PSS of the processes without their workers, the last time all of them were there in sleep [MB]."""
    sums = []
    for status in statuses:
        workers = {model.pid for model in status.models}
        shells = [process.pss_bytes for process in status.processes if process.pid not in workers]
        if status.mode == "sleep" and len(shells) == len(COMPOSITIONS["split"]) and all(shells):
            sums.append(sum(shells) / 1e6)
    return sums[-1] if sums else None


def _loop(states: list[Any]) -> list[Figure]:
    moving = [state for state in states if state.loop_p99_s > 0]
    if not moving:
        return [
            figure(
                "motion.loop_p99_ms", "100 Hz loop interval during the visit, p99", None, "ms", note="it never moved"
            )
        ]
    middle = sorted(state.loop_p50_s for state in moving)[len(moving) // 2]
    worst_p99, worst = max(state.loop_p99_s for state in moving), max(state.loop_max_s for state in moving)
    typical_p99 = sorted(state.loop_p99_s for state in moving)[len(moving) // 2]
    return [
        figure("motion.loop_p50_ms", "100 Hz loop interval during the visit, p50", 1000 * middle, "ms", baseline=10.0),
        figure(
            "motion.loop_p99_ms",
            "the same, p99 over 10 s, median of the visit",
            1000 * typical_p99,
            "ms",
            baseline=10.0,
        ),
        figure("motion.loop_worst_p99_ms", "the same, p99 of the worst 10 s", 1000 * worst_p99, "ms", baseline=10.0),
        figure("motion.loop_max_ms", "the same, longest interval", 1000 * worst, "ms", baseline=10.0),
    ]


if __name__ == "__main__":
    raise SystemExit(main(figures, "operations"))
