"""Figures that set one benchmark's result against another's: our stack beside one process that keeps everything.

Made from the JSON files that lie in the results' folder, after every `bbia bench`.
Alone: `python -m benchmarks.comparison build/bench`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console

from benchmarks.harness import Figure, figure, show, write

NAME = "comparison"
COMPARED = (
    ("memory.peak_share", "peak in converse (lite) against a process that loads the torch engines once and keeps them",
     ("operations", "memory.peak_converse_mb"), ("monolith", "monolith.peak_mb"), "<= 50"),
    ("memory.mean_share", "mean over the demonstration against that process's mean",
     ("operations", "memory.mean_demo_mb"), ("monolith", "monolith.mean_mb"), "<= 35"),
    ("memory.torch_peak_share", "torch engines through our workers, peak against that process's peak",
     ("monolith", "monolith.workers_peak_mb"), ("monolith", "monolith.peak_mb"), "<= 105"),
)  # fmt: skip
"""(id, what, ours as (area, id), baseline as (area, id), goal in percent)."""


def figures(folder: Path) -> list[Figure]:
    """What can be compared; without a value, and saying what to run, where a result is missing."""
    found = []
    for name, what, ours, theirs, goal in COMPARED:
        missing = [
            f"bbia bench {area}" for area, id_ in dict.fromkeys((ours, theirs)) if value(folder, area, id_) is None
        ]
        mine, baseline = value(folder, *ours), value(folder, *theirs)
        if mine is None or not baseline:
            found.append(figure(name, what, None, "%", goal=goal, note=f"needs {' and '.join(missing)}"))
        else:
            note = f"{mine:.0f} of {baseline:.0f} MB"
            found.append(figure(name, what, 100 * mine / baseline, "%", goal=goal, baseline=100.0, note=note))
    return found


def value(folder: Path, area: str, id_: str) -> float | None:
    """A figure's value in the results of an area; None: it was not measured.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / f"{area}.json"
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    return next((item["value"] for item in content["figures"] if item["id"] == id_), None)


def run(folder: Path, console: Console | None = None) -> list[Figure]:
    """Compares, prints and writes, if there is anything to compare."""
    found = figures(folder)
    if all(item["value"] is None for item in found):
        return []
    show(found, console)
    write(folder / f"{NAME}.json", found, command="make bench")
    return found


if __name__ == "__main__":
    run(Path(sys.argv[1] if len(sys.argv) > 1 else "build/bench"))
