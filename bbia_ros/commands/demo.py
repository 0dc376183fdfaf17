"""`bbia demo`: a conversation in simulation, checked, filmed and reported."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "a conversation in simulation, with a report and a film"
DESCRIPTION = """Brings a stack of its own up in MuJoCo: the robot wakes, a visitor walks by, asks what is on the table,
asks about the moon, tells sad news, and the robot goes back to sleep with every model out of memory. Leaves a folder
with report.html, demo.mp4, figures.json, bag/ (MCAP) and log/. The exit code is 1 when an expectation was missed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="where the folder is made (default: here)"
    )
    parser.add_argument("--profile", default="lite", help="memory profile of the stack (default: lite)")
    parser.add_argument(
        "--composition",
        default="split",
        choices=("split", "single", "none"),
        help="nodes to processes (default: split)",
    )
    parser.add_argument("--no-film", action="store_true", help="leave the film out; the rest takes half the time")
    parser.add_argument("--domain", type=int, default=None, metavar="N", help="ROS domain (default: a private one)")


def run(arguments: argparse.Namespace) -> int:
    """Plays the demonstration."""
    from bbia_ros.cli import FAILED, WrongInput, complain
    from bbia_ros.stage.interruption import Interruption

    interruption = Interruption()
    interruption.install()
    if arguments.domain is not None and not 0 <= arguments.domain <= 232:
        raise WrongInput(f"ROS domain {arguments.domain} does not exist; use 0 to 232")
    with interruption.held():  # a library whose import is broken off may do anything
        from bbia_ros.demo.run import DemoOptions, run_demo
        from bbia_ros.residency.catalog import ModelNotFound
        from bbia_ros.residency.errors import ResidencyError

    options = DemoOptions(
        arguments.out, arguments.profile, arguments.composition, not arguments.no_film, arguments.domain
    )
    try:
        visit, folder = run_demo(options, interruption=interruption)
    except (ResidencyError, ModelNotFound, OSError) as error:
        return complain(f"the demonstration cannot be played: {error}", FAILED)
    missed = [finding for finding in visit.findings if not finding.passed]
    print(f"report: {folder / 'report.html'}")
    for finding in missed:
        print(f"missed: {finding.wanted} - {finding.measured}")
    if not missed:
        print(f"all {len(visit.findings)} expectations met")
    return FAILED if missed else 0
