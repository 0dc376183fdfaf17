"""`bbia soak`: a real stack under random use and chaos, with its memory on record."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "use the stack at random for a long time and prove that nothing leaks or breaks"
DESCRIPTION = """Brings a stack of its own up in MuJoCo, plays sleep-converse cycles, then random modes, speech and
visitors, and samples memory, descriptors, threads and shared memory of each process. With --chaos workers are killed,
stopped and starved meanwhile. Leaves a folder with soak.jsonl (everything, as it happened), soak.png, summary.json
and log/. The exit code is 1 when a verdict failed. docs/soak.md explains each of them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("--minutes", type=float, default=0.0, metavar="N", help="random use for so long (default: 0)")
    parser.add_argument("--cycles", type=int, default=0, metavar="N", help="sleep-converse cycles first (default: 0)")
    parser.add_argument("--chaos", action="store_true", help="kill, stop and starve workers during the random use")
    parser.add_argument(
        "--chaos-processes", action="store_true", help="with --chaos: kill processes with nodes too, now and then"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of everything random (default: 0)")
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
    parser.add_argument("--domain", type=int, default=None, metavar="N", help="ROS domain (default: a private one)")


def run(arguments: argparse.Namespace) -> int:
    """Soaks."""
    from bbia_ros.cli import FAILED, WrongInput, complain
    from bbia_ros.stage.interruption import Interruption

    if arguments.domain is not None and not 0 <= arguments.domain <= 232:
        raise WrongInput(f"ROS domain {arguments.domain} does not exist; use 0 to 232")
    if not 0 <= arguments.minutes < float("inf") or arguments.cycles < 0:
        raise WrongInput("--minutes and --cycles must not be negative")
    if not arguments.minutes and not arguments.cycles:
        raise WrongInput("nothing to do: give --minutes or --cycles, for instance --minutes 5 --chaos")
    if arguments.chaos_processes and not arguments.chaos:
        raise WrongInput("--chaos-processes needs --chaos")
    if arguments.chaos and not arguments.minutes:
        raise WrongInput("--chaos strikes during the random use: give --minutes too")
    interruption = Interruption()
    interruption.install()
    with interruption.held():  # a library whose import is broken off may do anything
        from bbia_ros.residency.catalog import ModelNotFound
        from bbia_ros.residency.errors import ResidencyError
        from bbia_ros.soak.run import SoakOptions, run_soak

    options = SoakOptions(
        out=arguments.out, minutes=arguments.minutes, cycles=arguments.cycles, chaos=arguments.chaos,
        processes=arguments.chaos_processes, seed=arguments.seed, profile=arguments.profile,
        composition=arguments.composition, domain=arguments.domain,
    )  # fmt: skip
    try:
        verdicts, folder = run_soak(options, interruption=interruption)
    except (ResidencyError, ModelNotFound, OSError) as error:
        return complain(f"the soak ended early: {error}", FAILED)
    failed = [verdict for verdict in verdicts if verdict.passed is False]
    print(f"record, plot and summary: {folder}")
    for verdict in failed:
        print(f"failed: {verdict.what}: {verdict.measured}, wanted {verdict.limit}")
    return FAILED if failed else 0
