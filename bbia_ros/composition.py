"""Which node runs in which process, as data, and the command line of each process."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bbia_ros.manager.modes import ModesError, ModeTable, load_modes
from bbia_ros.manager.parameter_files import BringupError, budget_mb, check_parameter_file, one_of, write_parameters
from bbia_ros.resources import shared_folder

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
        folder: where the file with the chosen parameters is written, and the manager keeps its mode; it must exist.

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
        "manager": {"mode": options.mode, "mode_file": str(folder.resolve() / "mode"), "nodes": list(table.rules)},
        "driver": {"backend": options.driver},
    }
    if options.modes_file:
        parameters["manager"]["modes_file"] = str(Path(options.modes_file).resolve())
    for node, values in options.parameters.items():
        parameters.setdefault(node, {}).update(values)
    write_parameters(chosen, parameters)
    (folder / "mode").unlink(missing_ok=True)  # of an earlier run
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
