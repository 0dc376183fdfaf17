"""`bbia mode`: which mode the stack is in, or bring it into another."""

from __future__ import annotations

import argparse

SUMMARY = "show or change the mode (sleep, idle, watch, listen, converse)"
DESCRIPTION = """Without a name, shows the mode in effect. With one, brings the stack into that mode and answers when
every node is in its state; models may still be loading then."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    from bbia_ros.cli import add_stack_arguments

    parser.add_argument("mode", nargs="?", help="mode to enter")
    parser.add_argument("--timeout", type=float, default=120.0, metavar="S", help="how long to wait (default: 120)")
    add_stack_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Shows or changes the mode."""
    from bbia_ros.cli import FAILED, WRONG_INPUT, complain, use_domain

    use_domain(arguments.domain)
    from bbia_ros.manager.client import ManagerClient, ManagerUnavailable

    try:
        with ManagerClient(arguments.namespace) as manager:
            if arguments.mode is None:
                status = manager.wait_for_status(timeout_s=5.0)
                change = f" -> {status.target_mode}" if status.target_mode != status.mode else ""
                print(f"{status.mode or 'none yet'}{change}")
                return 0
            ok, message = manager.set_mode(arguments.mode, arguments.timeout)
    except ManagerUnavailable as error:
        return complain(str(error), FAILED)
    if ok:
        print(message)
        return 0
    return complain(message, WRONG_INPUT if message.startswith("unknown") else FAILED)
