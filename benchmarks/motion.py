"""How evenly the motion loop ticks, what a tick costs, and how well the gaze follows.

The interval figures are those of the loop alone, in a process without ROS; benchmarks/stack.py measures them during a
conversation. The baseline sleeps a period after each tick instead of until an absolute deadline.

Following is rehearsed: faces at 10 Hz that are 120 ms late, bearings with 0.3 degrees of noise, a robot that lags by
100 ms and whose joints have 2 degrees of dry friction.
"""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from bbia_ros.driver.kinematics import Kinematics
from bbia_ros.motion.composer import Composer
from bbia_ros.motion.loop import Intervals, Loop
from bbia_ros.motion.pose import NEUTRAL
from bbia_ros.motion.rehearsal import walk_by
from benchmarks.harness import Figure, figure, main

PERIOD_S = 0.01


def figures(quick: bool) -> list[Figure]:
    """Loop intervals bare and beside two burners, tick cost, following."""
    seconds = 3.0 if quick else 12.0
    found: list[Figure] = []
    for load, burners in (("bare", 0), ("loaded", 2)):
        with burning(burners):
            ours, costs, real_time = absolute(seconds)
            baseline = relative(seconds)
        beside = " beside two burners at nice 19" if burners else ""
        note = "SCHED_FIFO" if real_time else "no real-time class"
        for name, value, reference in (
            ("p50", ours.p50, np.percentile(baseline, 50)),
            ("p99", ours.p99, np.percentile(baseline, 99)),
            ("max", ours.longest, baseline.max()),
        ):
            what = f"interval of the 100 Hz loop, {name}{beside}"
            found.append(
                figure(
                    f"motion.loop_{name}_{load}_ms", what, 1e3 * value, "ms", baseline=1e3 * float(reference), note=note
                )
            )
        if not burners:
            found.append(figure("motion.tick_p99_ms", "one tick, p99", 1e3 * float(np.percentile(costs, 99)), "ms"))
    for speed in (15, 30):
        what = f"gaze error while a visitor walks by at {speed} deg/s, median, rehearsed"
        found.append(figure(f"motion.follow_{speed}_deg", what, median_error(speed), "deg"))
    return found


def composer() -> Composer:
    """A composer that breathes and glances."""
    made = Composer(Kinematics())
    made.start(time.monotonic(), NEUTRAL, "awake")
    return made


def absolute(seconds: float) -> tuple[Intervals, np.ndarray, bool]:
    """Our loop: intervals, cost of each tick [s], whether it has the real-time class."""
    made, costs = composer(), list[float]()

    def tick() -> bool:
        begin = time.perf_counter()
        made.tick(time.monotonic())
        costs.append(time.perf_counter() - begin)
        return True

    loop = Loop(tick, 1.0 / PERIOD_S, window_s=seconds)
    loop.start()
    loop.wake()
    time.sleep(seconds)
    intervals, real_time = loop.intervals(), loop.real_time
    loop.stop()
    return intervals, np.array(costs), real_time


def relative(seconds: float) -> np.ndarray:
    """Intervals [s] of a loop that sleeps a period after each tick."""
    made, stamps = composer(), list[float]()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        stamps.append(time.monotonic())
        made.tick(stamps[-1])
        time.sleep(PERIOD_S)
    return np.diff(stamps)


def median_error(speed_deg: float) -> float:
    """Median gaze error [deg] while the visitor walks."""
    walk = walk_by(math.radians(speed_deg), friction=math.radians(2.0))
    return math.degrees(float(np.median(walk.error[walk.moving])))


@contextmanager
def burning(count: int) -> Iterator[None]:
    """That many processes at nice 19 that compute without end."""
    burn = "import os; os.nice(19)\nwhile True: pass"
    processes = [subprocess.Popen([sys.executable, "-c", burn]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main(figures, "motion"))
