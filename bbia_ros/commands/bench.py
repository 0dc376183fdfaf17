"""`bbia bench`: measures, compares with a baseline in the same run, prints a table and writes JSON."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

SUMMARY = "measure memory, speed and latency against baselines"
DESCRIPTION = """Runs the benchmarks of an area, or of all of them, and writes build/bench/AREA.json. Close other
programs first: speed is measured on the machine as it is."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "area",
        nargs="?",
        default="all",
        help="memory, manager, perception, speech, motion, operations, monolith (needs torch) or all (default)",
    )
    parser.add_argument("--quick", action="store_true", help="answer in about a minute, with fewer repetitions")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), metavar="DIR", help="folder of the JSON files")


def run(arguments: argparse.Namespace) -> int:
    """Measures."""
    from bbia_ros.cli import WrongInput
    from bbia_ros.resources import shared_folder

    sys.path.append(str(shared_folder("benchmarks").parent))  # last: in a source tree our own package lies there too
    from benchmarks import comparison
    from benchmarks.harness import AREAS, run_area

    if arguments.area != "all" and arguments.area not in AREAS:
        raise WrongInput(f"unknown area '{arguments.area}'; known are all, {', '.join(AREAS)}")
    broken = [
        figure["what"]
        for area in (AREAS if arguments.area == "all" else (arguments.area,))
        for figure in run_area(area, arguments.quick, arguments.out)
        if figure["value"] is None and figure["note"].startswith("broke off")
    ]
    comparison.run(arguments.out)
    if broken:
        print(f"broke off: {', '.join(broken)}; see above", file=sys.stderr)
    return 1 if broken else 0
