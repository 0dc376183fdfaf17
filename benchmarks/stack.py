"""The stack at work: the demonstration's play, measured. One run gives memory, start-up, answers, motion loop.

The baseline of the answer latency is the time that the person must be silent before the turn counts as over
(speech's end-of-turn parameter): no system that waits for it can answer faster.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from bbia_ros.bringup import COMPOSITIONS
from benchmarks.bare_nodes import total_pss_mb
from benchmarks.harness import Figure, figure, main


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
    shells = _shells_mb([heard.message for heard in visit.history["manager/status"]])
    bare = total_pss_mb([len(nodes) for nodes in COMPOSITIONS["split"].values()])
    return [
        figure(
            "memory.inactive_pss_mb",
            "shells of all nodes in sleep, workers apart, against bare lifecycle nodes",
            shells,
            "MB",
            goal="<= 180",
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
            "peak total PSS in converse, simulation included",
            value("memory.peak_mb"),
            "MB",
            goal="<= 1100",
        ),
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
