"""Which node runs in which process, as data, and how each process is started.

The launch file and `bbia up` both read it. `python -m bbia_ros.bringup` (`ros2 run bbia_ros process`) is one process.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bbia_ros.manager.modes import ModesError, ModeTable, load_modes
from bbia_ros.manager.parameter_files import BringupError, budget_mb, check_parameter_file, one_of, write_parameters
from bbia_ros.resources import shared_folder

if TYPE_CHECKING:
    from bbia_ros.ros.context import ProcessContext
    from bbia_ros.ros.lifecycle import BbiaNode

NODES = ("manager", "driver", "perception", "speech", "dialogue", "emotion", "motion")
"""Every node of the stack; bbia_ros.<name>.node holds the class <Name>Node."""

COMPOSITIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "split": {
        "manager": ("manager",),
        "brain": ("perception", "speech", "dialogue", "emotion"),
        "control": ("driver", "motion"),
    },
    "single": {"bbia": NODES},
    "none": {node: (node,) for node in NODES},
}
"""Process name -> its nodes, per composition. The manager outlives what it supervises; nothing disturbs the loop."""

DRIVERS = ("mujoco", "reachy", "mock")
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
SHUTDOWN_STAGES = (("manager", "bbia"), ("control", "driver"))
"""Processes that end last and last but one; all others end first, at the same time."""

GUARD_S = 4.5
"""How long a process has for its orderly end once its parent is gone [s]."""


@dataclass(frozen=True)
class Options:
    """What a user chooses about the stack.

    Attributes:
        mode: mode to enter at start.
        driver: mujoco, reachy or mock.
        profile: name of a file in config/profiles, a path, or empty.
        composition: split, single or none.
        namespace: of all nodes, without slashes at its ends; empty: none.
        log_level: debug, info, warn, error or fatal.
        parameters: node -> parameter -> value; they win over every file.
        nodes: nodes to run; empty: all.
        modes_file: path of the modes file; empty: config/modes.yaml.
    """

    mode: str = "idle"
    driver: str = "mujoco"
    profile: str = ""
    composition: str = "split"
    namespace: str = "bbia"
    log_level: str = "info"
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    modes_file: str = ""


@dataclass(frozen=True)
class ProcessPlan:
    """One process to start.

    Attributes:
        name: of the process in the composition.
        nodes: that it runs.
        arguments: of the `process` entry point, before the ROS arguments.
        parameter_files: in the order in which later ones win.
        namespace: absolute, for example "/bbia".
        log_level: of its nodes.
    """

    name: str
    nodes: tuple[str, ...]
    arguments: tuple[str, ...]
    parameter_files: tuple[Path, ...]
    namespace: str
    log_level: str

    @property
    def stage(self) -> int:
        """When it ends in an ordered shutdown: 0 first."""
        for distance, names in enumerate(SHUTDOWN_STAGES):
            if self.name in names:
                return len(SHUTDOWN_STAGES) - distance
        return 0

    def ros_arguments(self) -> list[str]:
        """Namespace, parameter files and log level as ROS arguments."""
        files = [word for path in self.parameter_files for word in ("--params-file", str(path))]
        return ["--ros-args", "-r", f"__ns:={self.namespace}", "--log-level", self.log_level, *files]

    def command(self, *more: str) -> list[str]:
        """The command line that runs this process with this interpreter."""
        return [sys.executable, "-m", "bbia_ros.bringup", *self.arguments, *more, *self.ros_arguments()]


def plan_processes(options: Options, folder: Path) -> list[ProcessPlan]:
    """The processes of the stack, in starting order.

    Args:
        options: the user's choices, which are validated here.
        folder: where the file with the chosen parameters is written; it must exist.

    Raises:
        BringupError: an unknown mode, node, driver, profile, composition, log level, or a broken file.
    """
    table = check(options)
    files = [path for node in NODES if (path := shared_folder("config") / f"{node}.yaml").exists()]
    if options.profile:
        files.append(profile_path(options.profile))
    for path in files:
        check_parameter_file(path)
    chosen = folder / "parameters.yaml"
    parameters: dict[str, dict[str, Any]] = {
        "manager": {"mode": options.mode, "nodes": list(table.rules)},
        "driver": {"backend": options.driver},
    }
    if options.modes_file:
        parameters["manager"]["modes_file"] = str(Path(options.modes_file).resolve())
    for node, values in options.parameters.items():
        parameters.setdefault(node, {}).update(values)
    write_parameters(chosen, parameters)
    files.append(chosen)
    budget = budget_mb(files)
    namespace = "/" + options.namespace.strip("/")
    plans = []
    for name, nodes in COMPOSITIONS[options.composition].items():
        kept = tuple(node for node in nodes if not options.nodes or node in options.nodes or node == "manager")
        if not kept:
            continue
        arguments = ["--name", name, "--nodes", ",".join(kept)]
        if budget > 0:
            arguments += ["--budget-mb", f"{budget:g}"]
        plans.append(ProcessPlan(name, kept, tuple(arguments), tuple(files), namespace, options.log_level))
    return plans


def check(options: Options) -> ModeTable:
    """Validates the options; returns the modes they lead to.

    Raises:
        BringupError: what is wrong, with the valid choices.
    """
    one_of("driver", options.driver, DRIVERS)
    one_of("composition", options.composition, tuple(COMPOSITIONS))
    one_of("log level", options.log_level, LOG_LEVELS)
    for node in (*options.nodes, *options.parameters):
        one_of("node", node, NODES)
    if options.namespace.strip("/") and not all(p.isidentifier() for p in options.namespace.strip("/").split("/")):
        raise BringupError(f"'{options.namespace}' is no ROS namespace; use letters, digits and _")
    if options.profile:
        profile_path(options.profile)
    try:
        table = load_modes(Path(options.modes_file) if options.modes_file else shared_folder("config") / "modes.yaml")
        supervised = [node for node in table.rules if not options.nodes or node in options.nodes]
        table = table.only(supervised)
        if options.mode:
            table.mode(options.mode)
    except ModesError as error:
        raise BringupError(str(error)) from error
    return table


def profile_path(profile: str) -> Path:
    """The file of a profile given by name or path.

    Raises:
        BringupError: there is none; the message lists those that ship.
    """
    folder = shared_folder("config") / "profiles"
    for path in (folder / f"{profile}.yaml", Path(profile).expanduser()):
        if path.is_file():
            return path.resolve()
    known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml"))) or "none"
    raise BringupError(f"unknown profile '{profile}'; known: {known}, or the path of a YAML file")


def environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of the processes: `base` (default: ours) with what the stack needs and the user has not set."""
    result = dict(os.environ if base is None else base)
    result.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    # Fast DDS as it comes loses most camera images between processes: its shared memory segment is too small.
    result.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(shared_folder("config") / "fastdds.xml"))
    result.setdefault("MALLOC_ARENA_MAX", "2")
    result.setdefault("RCUTILS_COLORIZED_OUTPUT", "0")
    result["PYTHONUNBUFFERED"] = "1"
    return result


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
