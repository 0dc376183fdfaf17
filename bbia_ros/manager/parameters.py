"""Parameters of the manager, and what follows from them for limits and for the governor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bbia_ros.manager.governor import Settings
from bbia_ros.manager.levels import Thresholds
from bbia_ros.manager.modes import NodeRule
from bbia_ros.manager.pressure import MB
from bbia_ros.residency.limits import EVICTIONS, Limits
from bbia_ros.ros.parameters import ParameterError, nested, param

PROTECTED = ("manager", "driver", "motion")
"""Nodes that are never given up: without them the robot is out of control."""
GIVE_UP = ("emotion", "perception", "dialogue", "speech")
"""Order in which nodes are given up by default: a robot that talks blindly is company; one that only looks is not."""


@dataclass(frozen=True)
class GroupParameters:
    """How many models of one kind may be in memory at once, in the whole stack."""

    language: int = param(4, "models that write text", minimum=1, maximum=64)
    detector: int = param(2, "models that find things in images", minimum=1, maximum=64)
    stt: int = param(2, "models that make text of speech", minimum=1, maximum=64)
    emotion: int = param(2, "models that read feelings", minimum=1, maximum=64)


@dataclass(frozen=True)
class PressureParameters:
    """When the machine is short of memory, and what is given up for it."""

    enabled: bool = param(True, "give things up when memory is short; figures are published either way")
    low_mb: float = param(150.0, "short of memory when less than this is available [MB]", minimum=1.0)
    critical_mb: float = param(80.0, "critically short below this [MB]", minimum=0.0)
    room_mb: float = param(300.0, "what must be left after something has come back [MB]", minimum=1.0)
    some_percent: float = param(20.0, "short at this PSI 'some avg10' [%]", minimum=0.1, maximum=100.0)
    full_percent: float = param(10.0, "critically short at this PSI 'full avg10' [%]", minimum=0.1, maximum=100.0)
    patience_s: float = param(1.0, "memory must be short for so long before the first step [s]", minimum=0.0)
    idle_s: float = param(5.0, "a model is unused after so long, and may be unloaded [s]", minimum=0.0)
    settle_s: float = param(3.0, "between two steps down: the first must show its effect [s]", minimum=0.5)
    nodes_after_s: float = param(10.0, "memory must be short for so long before a node goes [s]", minimum=0.0)
    climb_s: float = param(30.0, "there must be room for so long before something comes back [s]", minimum=1.0)
    give_up: tuple[str, ...] = param(GIVE_UP, "nodes that may be given up, first to last; never driver and motion")
    root: str = param("/", "folder with proc and sys/fs/cgroup to read; others than / for tests", read_only=True)


@dataclass(frozen=True)
class ManagerParameters:
    """Parameters of the manager."""

    mode: str = param("idle", "mode to enter at start; empty: none, nodes are left as they are", read_only=True)
    modes_file: str = param("", "path of the modes file; empty: config/modes.yaml of this package", read_only=True)
    mode_file: str = param("", "keeps the mode entered last, for a manager started again; empty: none", read_only=True)
    nodes: tuple[str, ...] = param((), "nodes to supervise; empty: all of the modes file", read_only=True)
    budget_mb: float = param(0.0, "private memory of all workers together; 0: no limit [MB]", minimum=0.0)
    eviction: str = param("weighted", "who goes to make room: least missed per byte, or least recently used",
                          choices=EVICTIONS)  # fmt: skip
    groups: GroupParameters = nested(GroupParameters)
    pressure: PressureParameters = nested(PressureParameters)
    transition_timeout_s: float = param(10.0, "for one transition of a node without its own timeout_s [s]", minimum=0.1)
    request_timeout_s: float = param(
        120.0, "for set_mode, and for manage_nodes without its own timeout [s]", minimum=1.0
    )
    heartbeat_timeout_s: float = param(2.0, "a node silent for longer is lost [s]", minimum=0.5, read_only=True)
    appear_timeout_s: float = param(
        10.0, "a node that is not there is waited for so long [s]", minimum=0.0, read_only=True
    )


def limits_of(parameters: ManagerParameters) -> Limits:
    """The limits that every process of the stack is to keep."""
    groups = parameters.groups
    return Limits(
        budget_bytes=round(parameters.budget_mb * MB) or None,
        groups={"language": groups.language, "detector": groups.detector, "stt": groups.stt, "emotion": groups.emotion},
        eviction=parameters.eviction,
    )


def settings_of(
    parameters: ManagerParameters, rules: Mapping[str, NodeRule], known: Mapping[str, NodeRule]
) -> Settings:
    """The governor's settings.

    Args:
        parameters: of the manager.
        rules: nodes that this stack runs.
        known: all nodes of the modes file.

    Raises:
        ParameterError: thresholds that contradict each other, or a node that is unknown or must not be given up.
    """
    pressure = parameters.pressure
    if not pressure.critical_mb < pressure.low_mb < pressure.room_mb:
        raise ParameterError(
            f"parameters pressure.critical_mb {pressure.critical_mb:g}, low_mb {pressure.low_mb:g} and room_mb "
            f"{pressure.room_mb:g} must each be larger than the one before"
        )
    for node in pressure.give_up:
        if node in PROTECTED:
            raise ParameterError(f"parameter 'pressure.give_up' names {node}, which is never given up")
        if node not in known and pressure.give_up != GIVE_UP:
            raise ParameterError(
                f"parameter 'pressure.give_up' names the unknown node '{node}'; known: {', '.join(known)}"
            )
    give_up = {node: needed_by(node, rules) for node in pressure.give_up if node in rules}
    for node, along in give_up.items():
        for other in along:
            if other in PROTECTED:
                raise ParameterError(f"parameter 'pressure.give_up' names {node}, which {other} needs")
    return Settings(
        thresholds=Thresholds(
            low=round(pressure.low_mb * MB), critical=round(pressure.critical_mb * MB),
            room=round(pressure.room_mb * MB), some=pressure.some_percent, full=pressure.full_percent,
        ),
        patience_s=pressure.patience_s, settle_s=pressure.settle_s, idle_s=pressure.idle_s,
        nodes_after_s=pressure.nodes_after_s, climb_s=pressure.climb_s, give_up=give_up, eviction=parameters.eviction,
    )  # fmt: skip


def needed_by(node: str, rules: Mapping[str, NodeRule]) -> tuple[str, ...]:
    """Every node that cannot be active without this one, directly or through others."""
    found: list[str] = []
    waiting = [node]
    while waiting:
        one = waiting.pop()
        for other, rule in rules.items():
            if one in rule.needs and other not in found:
                found.append(other)
                waiting.append(other)
    return tuple(found)
