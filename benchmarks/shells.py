"""What the stack costs when nobody needs it: launched in `sleep`, every AI node inactive, beside bare lifecycle nodes.

The simulator is a model with workers of its own, which are not counted here. Both are read from /proc by this process.

Run with `bbia bench memory`, or alone: `python -m benchmarks.shells [--quick]`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bbia_ros.bringup import COMPOSITIONS
from benchmarks.bare_nodes import total_pss_mb
from benchmarks.harness import Figure, figure, main
from benchmarks.sampling import Sample, take

SETTLE_S = 5.0
"""After the mode is reached: discovery ends, first diagnostics are out [s]."""


def figures(quick: bool) -> list[Figure]:
    """Brings the stack up once with the simulated robot; `quick` does the same."""
    from bbia_ros.bringup import Options, Stack
    from bbia_ros.domain import use_private_graph

    use_private_graph()
    with tempfile.TemporaryDirectory(prefix="bbia-bench-") as folder:
        options = Options(mode="sleep", driver="mujoco", profile="lite")
        with Stack(options, log_folder=Path(folder)) as stack:
            stack.wait_ready()
            stack.client.wait_for_mode("sleep")
            time.sleep(SETTLE_S)
            samples = []
            for _ in range(5):
                samples.append(take(stack.processes))
                time.sleep(0.2)
            names = {pid: name for name, pid in stack.processes.items()}
    bare = total_pss_mb([len(nodes) for nodes in COMPOSITIONS["split"].values()])
    return [
        figure(
            "memory.inactive_pss_mb",
            "stack launched, all AI nodes inactive, total PSS without the simulator's workers, against as many bare "
            "lifecycle nodes in as many processes",
            median(shells_mb(sample) for sample in samples),
            "MB",
            goal="<= 180",
            baseline=bare,
            note=", ".join(f"{names.get(pid, 'other')} {one.pss / 1e6:.0f}" for pid, one in samples[-1].shells.items()),
        )
    ]


def shells_mb(sample: Sample) -> float:
    """PSS of all processes that are no workers [MB]."""
    return sum(one.pss for one in sample.shells.values()) / 1e6


if __name__ == "__main__":
    sys.exit(main(figures, "memory"))
