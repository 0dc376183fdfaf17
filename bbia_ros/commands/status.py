"""`bbia status`: nodes, processes, models and memory of a running stack, live."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bbia_ros.manager.client import ManagerClient

SUMMARY = "watch nodes, processes, models and memory"
DESCRIPTION = """Live until Ctrl-C; once where the output is not a terminal. PSS is the proportional set size: memory
that processes share counts in parts, so the figures add up."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    from bbia_ros.cli import add_stack_arguments

    parser.add_argument("--once", action="store_true", help="print one status and end")
    parser.add_argument("--json", action="store_true", help="print one status as JSON and end")
    parser.add_argument(
        "--timeout", type=float, default=5.0, metavar="S", help="how long to look for a stack (default: 5)"
    )
    add_stack_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Shows the status."""
    from bbia_ros.cli import FAILED, complain, use_domain

    use_domain(arguments.domain)
    from rich.console import Console

    from bbia_ros.manager.client import ManagerClient, ManagerUnavailable
    from bbia_ros.manager.view import as_data, render_status

    console = Console()
    with ManagerClient(arguments.namespace) as manager:
        try:
            status = manager.wait_for_status(timeout_s=arguments.timeout)
        except ManagerUnavailable as error:
            return complain(f"{error}; is the stack up (bbia up), in this domain and namespace?", FAILED)
        if arguments.json:
            json.dump(as_data(status), sys.stdout, indent=1)
            print()
        elif arguments.once or not console.is_terminal:
            console.print(render_status(status))
        else:
            _watch(manager)
    return 0


def _watch(manager: ManagerClient) -> None:
    import signal
    import threading
    import time

    from rich.live import Live
    from rich.text import Text

    from bbia_ros.manager.view import render_status

    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    seen, heard = None, time.monotonic()
    with Live(refresh_per_second=8, screen=True) as live:
        while not stop.is_set():
            manager.wait_a_moment(0.25)
            status = manager.status
            if status is not seen:
                seen, heard = status, time.monotonic()
                live.update(render_status(status))
            elif time.monotonic() - heard > 3.0:
                live.update(Text(f"the manager is silent for {time.monotonic() - heard:.0f} s", style="bold red"))
