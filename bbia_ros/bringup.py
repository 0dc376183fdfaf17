"""Starts the stack: its processes as children (`Stack`), or one of them (`main`).

The launch file and `bbia up` both start what composition.py plans. `python -m bbia_ros.bringup`, also
`ros2 run bbia_ros process`, is one process.
"""

from __future__ import annotations

import signal

if __name__ == "__main__":
    # Until run_process takes over, a signal ends this process quietly.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import importlib
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bbia_ros.composition import COMPOSITIONS, DRIVERS, LOG_LEVELS, NODES, Options, ProcessPlan, plan_processes
from bbia_ros.domain import set_middleware_defaults
from bbia_ros.manager.children import STOP_S, Children, Program
from bbia_ros.manager.claim import claim
from bbia_ros.manager.parameter_files import BringupError, one_of

if TYPE_CHECKING:
    from bbia_ros.manager.client import ManagerClient
    from bbia_ros.msg import StackStatus
    from bbia_ros.ros.context import ProcessContext
    from bbia_ros.ros.lifecycle import BbiaNode

__all__ = [
    "COMPOSITIONS", "DRIVERS", "LOG_LEVELS", "NODES", "BringupError", "Options", "ProcessPlan", "Stack", "environment",
    "main", "plan_processes",
]  # fmt: skip

STUCK_S = (5.0, 15.0)
"""A stack that has named its problems and not changed for so long will not get there by itself; the second figure is
for one with a missing node, which may still come [s]."""
KEPT_LOGS = 10
"""Log folders of earlier runs that are kept."""
GUARD_S = 4.5
"""How long a process has for its orderly end once its parent is gone [s]."""


def environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process of the stack: `base` (default: ours) with what it needs and the user has not set."""
    result = dict(os.environ if base is None else base)
    set_middleware_defaults(result)
    result.setdefault("MALLOC_ARENA_MAX", "1")
    result.setdefault("RCUTILS_COLORIZED_OUTPUT", "0")
    result["PYTHONUNBUFFERED"] = "1"
    return result


class Stack:
    """A running stack: its processes as children of this one, and a client of its manager.

    Owns the processes, their logs and the client; leaving the context ends everything in order.

        with Stack(Options(mode="idle", driver="mock")) as stack:
            stack.wait_ready()
            stack.client.set_mode("watch")

    The environment is taken when the stack is made, so set ROS_DOMAIN_ID before.
    """

    def __init__(
        self,
        options: Options | None = None,
        *,
        log_folder: Path | None = None,
        on_line: Callable[[str, str], None] = lambda process, line: None,
        on_event: Callable[[str, str], None] = lambda process, event: None,
    ) -> None:
        """Plans the processes and claims their names; starts nothing yet.

        Args:
            options: what to run; None: the defaults.
            log_folder: for one log per process and the chosen parameters; None: a new one under the state folder.
            on_line: told of each line that a process prints, from another thread.
            on_event: told when a process ended by itself or was started again, from another thread.

        Raises:
            BringupError: something about the options is wrong, or such a stack is running already.
        """
        self.options = options or Options()
        self.log_folder = log_folder or new_log_folder()
        self.log_folder.mkdir(parents=True, exist_ok=True)
        self._claim = claim(self.options.namespace)  # first: the folder may be that of a stack which runs
        try:
            self.plans = plan_processes(self.options, self.log_folder)
        except BringupError:
            self._claim.close()
            raise
        self.events: deque[str] = deque(maxlen=100)
        self._on_event = on_event
        self._client: ManagerClient | None = None
        programs = [
            Program(plan.name, plan.command("--end-with-stdin"), environment(), plan.stage) for plan in self.plans
        ]
        self._children = Children(programs, self.log_folder, on_line, self._note)

    def __enter__(self) -> Stack:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts every process; returns at once."""
        self._children.start()

    def stop(self, timeout_s: float = STOP_S) -> None:
        """Ends every process in order, brain first and the manager last; returns when nothing is left."""
        self._children.stop(timeout_s)
        if self._client is not None:
            self._client.close()
        self._claim.close()

    def kill(self) -> None:
        """Makes the present or next `stop` end everything at once."""
        self._children.kill()

    @property
    def processes(self) -> dict[str, int]:
        """Pid of each process that runs now, by its name."""
        return self._children.pids

    def pids(self) -> list[int]:
        """Pids of the processes that run now, without workers."""
        return list(self._children.pids.values())

    @property
    def client(self) -> ManagerClient:
        """A client of the stack's manager, made at first use."""
        if self._client is None:
            from bbia_ros.manager.client import ManagerClient

            self._client = ManagerClient(self.options.namespace)
        return self._client

    def wait_ready(
        self,
        timeout_s: float = 90.0,
        on_status: Callable[[StackStatus], None] = lambda status: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> StackStatus | None:
        """Waits until the chosen mode is in effect.

        Args:
            timeout_s: how long.
            on_status: told of each status on the way, for a progress display.
            cancelled: asked a few times a second; True ends the wait.

        Returns:
            The status in which the mode is in effect; None when cancelled.

        Raises:
            BringupError: it was not reached; the message says what is missing.
        """
        deadline, seen = time.monotonic() + timeout_s, None
        picture, unchanged_since = "", time.monotonic()
        while not cancelled():
            status = self.client.status
            if status is not None and status is not seen:
                seen = status
                on_status(status)
                if status.target_mode and status.mode == status.target_mode:
                    return status
                if self.options.mode == "":
                    return status
            if picture != (picture := self._missing()):
                unchanged_since = time.monotonic()
            if "(" in picture and time.monotonic() - unchanged_since > STUCK_S["is unknown" in picture]:
                raise BringupError(f"mode '{self.options.mode}' cannot be reached: {picture}")
            if self.client.fault:
                raise BringupError(f"the manager {self.client.fault}")
            if time.monotonic() > deadline:
                raise BringupError(
                    f"mode '{self.options.mode}' was not reached within {timeout_s:g} s: {self._missing()}"
                )
            self.client.wait_a_moment(0.1)
        return None

    def _missing(self) -> str:
        status = self.client.status
        if status is None:
            failing = [name for name, count in self._children.failures().items() if count]
            last = [line for name in failing for line in self._children.tail(name)[-1:]]
            words = f"; {', '.join(failing)} ended again and again: {' '.join(last)}" if failing else ""
            return f"the manager was not heard of{words}; logs are in {self.log_folder}"
        wrong = [f"{node.name} is {node.state} ({node.detail})" for node in status.nodes if node.detail]
        return "; ".join(wrong) or ", ".join(f"{node.name} is {node.state}" for node in status.nodes)

    def _note(self, process: str, event: str) -> None:
        self.events.append(event)
        self._on_event(process, event)


def new_log_folder() -> Path:
    """A new folder for the logs of one run, under XDG_STATE_HOME/bbia_ros/log; the ten newest are kept."""
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "bbia_ros" / "log"
    base.mkdir(parents=True, exist_ok=True)
    for old in sorted(base.iterdir())[: -(KEPT_LOGS - 1)]:
        shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=base))


def make_factory(node: str) -> Any:
    """A function of the process's context that imports the node's module and makes the node."""

    def make(context: ProcessContext) -> BbiaNode[Any]:
        module = importlib.import_module(f"bbia_ros.{node}.node")
        made: BbiaNode[Any] = getattr(module, f"{node.capitalize()}Node")(context)
        return made

    return make


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one process: several nodes, one executor, one pool of models."""
    words = list(sys.argv[1:] if argv is None else argv)
    own, ros = (words[: words.index("--ros-args")], words[words.index("--ros-args") :]) if "--ros-args" in words else (
        words,
        [],
    )  # fmt: skip
    parser = argparse.ArgumentParser(prog="process", description="Runs nodes of bbia_ros in one process.")
    parser.add_argument("--name", required=True, help="name of the process, for status and diagnostics")
    parser.add_argument("--nodes", required=True, help=f"comma-separated: {', '.join(NODES)}")
    parser.add_argument("--budget-mb", type=float, default=None, help="memory for all workers of the stack [MB]")
    parser.add_argument("--isolation", choices=("worker", "inline"), default="worker", help="where models run")
    parser.add_argument("--activate", action="store_true", help="configure and activate at once, without a manager")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when standard input is closed")
    options = parser.parse_args(own)
    nodes = [node.strip() for node in options.nodes.split(",") if node.strip()]
    try:
        for node in nodes:
            one_of("node", node, NODES)
    except BringupError as error:
        print(f"process: {error}", file=sys.stderr)
        return 2
    if options.end_with_stdin:
        _end_with_stdin()
    from bbia_ros.ros.process import run_process

    return run_process(
        options.name,
        [make_factory(node) for node in nodes],
        args=[sys.argv[0], *ros],
        activate=options.activate,
        budget_mb=options.budget_mb,
        isolation=options.isolation,
    )


def _end_with_stdin() -> None:
    """Ends this process when its parent is gone, however it went: first in order, then by force."""
    standard_input = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)

    def wait() -> None:
        while os.read(standard_input, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GUARD_S)
        os._exit(1)

    threading.Thread(target=wait, name="parent guard", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
