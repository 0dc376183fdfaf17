"""`bbia up`: starts the stack as children of this process and ends it in order."""

from __future__ import annotations

import argparse
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from bbia_ros.bringup import Options, Stack

SUMMARY = "start the stack; Ctrl-C ends it"
DESCRIPTION = """Starts every process of the stack, waits until the mode is reached, restarts a process that dies, and
ends everything in order on Ctrl-C. Logs go to a folder that is named at the end."""

_LOG_LINE = re.compile(r"^\[(WARN|ERROR|FATAL)\] \[[\d.]+\] \[([^]]*)\]: (.*)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    from bbia_ros.cli import add_stack_arguments
    from bbia_ros.composition import COMPOSITIONS, DRIVERS, LOG_LEVELS

    parser.add_argument("--mode", default="idle", help="mode to enter (default: idle)")
    parser.add_argument("--driver", default="mujoco", help=f"{', '.join(DRIVERS)} (default: mujoco)")
    parser.add_argument("--profile", default="", help="models and budget: a name in config/profiles, or a YAML file")
    parser.add_argument(
        "--composition", default="split", help=f"nodes to processes: {', '.join(COMPOSITIONS)} (default: split)"
    )
    parser.add_argument(
        "--param", action="append", default=[], metavar="NODE.KEY=VALUE", help="a parameter; may be given several times"
    )
    parser.add_argument(
        "--modes-file", default="", metavar="FILE", help="modes of your own instead of config/modes.yaml"
    )
    parser.add_argument("--log-level", default="info", help=f"{', '.join(LOG_LEVELS)} (default: info)")
    parser.add_argument("--log-folder", type=Path, default=None, metavar="FOLDER", help="where logs go")
    parser.add_argument("--timeout", type=float, default=90.0, metavar="S", help="for reaching the mode (default: 90)")
    add_stack_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the stack until a signal."""
    from rich.console import Console

    from bbia_ros.bringup import Stack
    from bbia_ros.cli import use_domain

    use_domain(arguments.domain)
    options = options_of(arguments)
    console = Console()
    signals = Signals()
    display = Display(console)
    stack = Stack(options, log_folder=arguments.log_folder, on_line=display.line, on_event=display.event)
    signals.impatient = stack.kill
    try:
        stack.start()
        return _attend(stack, options, arguments.timeout, signals, console)
    finally:
        stack.stop()
        try:
            console.print(f"ended; logs are in {stack.log_folder}", soft_wrap=True, highlight=False)
        except OSError:
            pass  # the terminal has been closed


def options_of(arguments: argparse.Namespace) -> Options:
    """The options that the command line stands for.

    Raises:
        BringupError: a parameter that is none.
    """
    from bbia_ros.composition import NODES, Options
    from bbia_ros.manager.parameter_files import parse_override

    parameters: dict[str, dict[str, Any]] = {}
    for text in arguments.param:
        node, key, value = parse_override(text, NODES)
        parameters.setdefault(node, {})[key] = value
    return Options(
        mode=arguments.mode,
        driver=arguments.driver,
        profile=arguments.profile,
        composition=arguments.composition,
        namespace=arguments.namespace,
        log_level=arguments.log_level,
        parameters=parameters,
        modes_file=arguments.modes_file,
    )


class Signals:
    """SIGINT, SIGTERM and SIGHUP as a flag that can be waited for. A second one calls `impatient`."""

    def __init__(self) -> None:
        self.received = threading.Event()
        self.number = 0
        self.impatient: Callable[[], None] = lambda: None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._take)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.received.is_set():
            self.impatient()
        self.number = number
        self.received.set()


class Display:
    """Shows what a user must know of the processes' output: warnings and errors, ends and restarts."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def line(self, process: str, line: str) -> None:
        """One line that a process printed."""
        match = _LOG_LINE.match(line)
        if match:
            level, name, text = match.groups()
            style = "yellow" if level == "WARN" else "red"
            self._console.print(f"{name}: {text}", style=style, markup=False, highlight=False, soft_wrap=True)

    def event(self, process: str, event: str) -> None:
        """A process ended by itself or was started again."""
        self._console.print(event, style="bold yellow", markup=False, highlight=False, soft_wrap=True)


def _attend(stack: Stack, options: Options, timeout_s: float, signals: Signals, console: Console) -> int:
    from bbia_ros.bringup import BringupError
    from bbia_ros.cli import FAILED, INTERRUPTED, complain

    began = time.monotonic()
    progress = console.status("starting the processes") if console.is_terminal else _Nothing()
    try:
        with progress as spinner:

            def show(status: Any) -> None:
                if spinner is not None:
                    states = ", ".join(f"{node.name} {node.state}" for node in status.nodes if node.name != "manager")
                    spinner.update(f"entering {status.target_mode or 'no mode'}: {states}")

            status = stack.wait_ready(timeout_s, show, signals.received.is_set)
    except BringupError as error:
        return complain(str(error), FAILED)
    if status is None:
        return INTERRUPTED if signals.number == signal.SIGINT else 0
    what = f"mode {status.mode}" if status.mode else "every process is up"
    seconds, megabytes = time.monotonic() - began, status.total_pss_bytes / 1e6
    console.print(f"{what} after {seconds:.1f} s, {megabytes:.0f} MB. Ctrl-C ends it; `bbia status` shows more.",
                  highlight=False)  # fmt: skip
    signals.received.wait()
    return INTERRUPTED if signals.number == signal.SIGINT else 0


class _Nothing:
    """A context that does nothing and yields None, where the output is no terminal."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None
