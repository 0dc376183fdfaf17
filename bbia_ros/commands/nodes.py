"""`bbia nodes`: the state of every node; activate and deactivate single ones."""

from __future__ import annotations

import argparse

SUMMARY = "show nodes, activate and deactivate single ones"
DESCRIPTION = """Without options, shows every node with its state. An activated node brings the nodes it needs; a
deactivated one takes those along that need it. The next `bbia mode` makes an end of it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    from bbia_ros.cli import add_stack_arguments

    parser.add_argument("--activate", nargs="+", default=[], metavar="NODE", help="nodes to activate")
    parser.add_argument("--deactivate", nargs="+", default=[], metavar="NODE", help="nodes to deactivate")
    parser.add_argument("--strict", action="store_true", help="stop at the first failure")
    parser.add_argument("--timeout", type=float, default=120.0, metavar="S", help="how long to wait (default: 120)")
    add_stack_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Shows or changes nodes."""
    from bbia_ros.cli import FAILED, WRONG_INPUT, complain, use_domain

    use_domain(arguments.domain)
    from rich.console import Console

    from bbia_ros.manager.client import ManagerClient, ManagerUnavailable
    from bbia_ros.manager.view import nodes_table

    try:
        with ManagerClient(arguments.namespace) as manager:
            if not (arguments.activate or arguments.deactivate):
                Console().print(nodes_table(manager.wait_for_status(timeout_s=5.0)))
                return 0
            ok, message = manager.manage_nodes(
                arguments.activate, arguments.deactivate, strict=arguments.strict, timeout_s=arguments.timeout
            )
    except ManagerUnavailable as error:
        return complain(str(error), FAILED)
    if ok:
        print(message)
        return 0
    wrong = message.startswith("unknown") or "cannot be activated and deactivated" in message
    return complain(message, WRONG_INPUT if wrong else FAILED)
