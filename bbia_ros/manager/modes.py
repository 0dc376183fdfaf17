"""Modes of the robot as data: which nodes are active in each, and what needs what (config/modes.yaml)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bbia_ros.manager.yaml_lines import DocumentError, Entry, read_document

UNCONFIGURED, INACTIVE, ACTIVE = "unconfigured", "inactive", "active"
STATES = (UNCONFIGURED, INACTIVE, ACTIVE)
"""Primary states a mode can ask for, in the order in which transitions climb."""

ParameterValue = bool | int | float | str | list[bool] | list[int] | list[float] | list[str]


class ModesError(ValueError):
    """Modes or nodes are wrong or unknown; the message is one sentence for the user."""


@dataclass(frozen=True)
class NodeRule:
    """How one node stands to the others.

    Attributes:
        needs: nodes that must be active while this one is.
        after: nodes that are activated before and deactivated after this one when both change.
        timeout_s: [s] for one transition of this node; None: the manager's default.
    """

    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    timeout_s: float | None = None

    @property
    def earlier(self) -> frozenset[str]:
        """Every node that comes before this one on the way up."""
        return frozenset(self.needs) | frozenset(self.after)


@dataclass(frozen=True)
class Mode:
    """A mode: the state of every node, and parameters to set when it is entered."""

    name: str
    description: str
    states: Mapping[str, str]
    parameters: Mapping[str, Mapping[str, ParameterValue]] = field(default_factory=dict)


@dataclass(frozen=True)
class ModeTable:
    """The nodes of the stack and its modes."""

    rules: Mapping[str, NodeRule]
    modes: Mapping[str, Mode]

    def mode(self, name: str) -> Mode:
        """The mode called `name`; ModesError lists the known ones."""
        if name not in self.modes:
            raise ModesError(f"unknown mode '{name}'; known: {', '.join(self.modes)}")
        return self.modes[name]

    def check_nodes(self, names: Iterable[str]) -> None:
        """Raises ModesError when one of `names` is no node of the stack."""
        for name in names:
            if name not in self.rules:
                raise ModesError(f"unknown node '{name}'; known: {', '.join(self.rules)}")

    def only(self, names: Iterable[str]) -> ModeTable:
        """The same table for a stack that runs without the other nodes.

        Raises:
            ModesError: an unknown node, or one that is kept needs one that is not.
        """
        kept = set(names)
        self.check_nodes(kept)
        rules = {}
        for name, rule in self.rules.items():
            if name not in kept:
                continue
            missing = [need for need in rule.needs if need not in kept]
            if missing:
                raise ModesError(f"{name} needs {', '.join(missing)}, which this stack leaves out")
            after = tuple(other for other in rule.after if other in kept)
            rules[name] = NodeRule(rule.needs, after, rule.timeout_s)
        modes = {
            mode.name: Mode(
                mode.name,
                mode.description,
                {node: state for node, state in mode.states.items() if node in kept},
                {node: values for node, values in mode.parameters.items() if node in kept},
            )
            for mode in self.modes.values()
        }
        return ModeTable(rules, modes)


def load_modes(path: Path) -> ModeTable:
    """Reads and validates a modes file.

    Raises:
        ModesError: unreadable, duplicate or unknown key, unknown node, cycle of dependencies, an active node whose
            dependency is not active; with file and line.
    """
    try:
        return _table(read_document(path))
    except DocumentError as error:
        raise ModesError(str(error)) from error


def _table(root: Entry) -> ModeTable:
    top = root.mapping("the file", allowed=("nodes", "modes"))
    for key in ("nodes", "modes"):
        if key not in top:
            raise root.error(f"the key '{key}' is missing")
    rules = _rules(top["nodes"])
    modes = {name: _mode(name, entry, rules) for name, entry in top["modes"].mapping("modes").items()}
    if not rules or not modes:
        raise root.error("at least one node and one mode are needed")
    return ModeTable(rules, modes)


def _rules(section: Entry) -> dict[str, NodeRule]:
    entries = section.mapping("nodes")
    rules: dict[str, NodeRule] = {}
    for name, entry in entries.items():
        what = f"node '{name}'"
        keys = entry.mapping(what, allowed=("needs", "after", "timeout_s"))
        others: dict[str, tuple[str, ...]] = {"needs": (), "after": ()}
        for key in others:
            if key in keys:
                listed = keys[key].names(f"{key} of {what}")
                for other, place in listed:
                    if other not in entries:
                        raise place.error(f"{what} names the unknown node '{other}'; known: {', '.join(entries)}")
                others[key] = tuple(other for other, _ in listed)
        timeout = keys["timeout_s"].number(f"timeout_s of {what}") if "timeout_s" in keys else None
        rules[name] = NodeRule(others["needs"], others["after"], timeout)
    cycle = find_cycle({name: rule.earlier for name, rule in rules.items()})
    if cycle:
        raise entries[cycle[0]].error(f"the nodes wait for each other in a circle: {' -> '.join(cycle)}")
    return rules


def _mode(name: str, entry: Entry, rules: Mapping[str, NodeRule]) -> Mode:
    what = f"mode '{name}'"
    keys = entry.mapping(what, allowed=("description", "parameters", *STATES))
    states: dict[str, str] = {}
    places: dict[str, Entry] = {}
    for state in STATES:
        for node, place in keys[state].names(f"{state} of {what}") if state in keys else ():
            _check_node(node, place, what, rules)
            if node in states:
                raise place.error(f"{what} has {node} both {states[node]} and {state}")
            states[node], places[node] = state, place
    full = {node: states.get(node, INACTIVE) for node in rules}
    for node, state in full.items():
        for need in rules[node].needs:
            if state == ACTIVE and full[need] != ACTIVE:
                raise places[node].error(f"in {what} {node} is active but {need}, which it needs, is {full[need]}")
    parameters = _parameters(keys["parameters"], what, rules) if "parameters" in keys else {}
    for node in parameters:
        if full[node] == UNCONFIGURED:
            raise keys["parameters"].error(f"{what} sets parameters of {node}, which is unconfigured in it")
    description = keys["description"].value() if "description" in keys else ""
    if not isinstance(description, str):
        raise keys["description"].error(f"the description of {what} must be text")
    return Mode(name, description, full, parameters)


def _parameters(section: Entry, what: str, rules: Mapping[str, NodeRule]) -> dict[str, Mapping[str, ParameterValue]]:
    parameters: dict[str, Mapping[str, ParameterValue]] = {}
    for node, entry in section.mapping(f"parameters of {what}").items():
        _check_node(node, entry, what, rules)
        values: dict[str, ParameterValue] = {}
        for key, place in entry.mapping(f"parameters of {node} in {what}").items():
            value = place.value()
            if not _is_parameter(value):
                raise place.error(f"{node}.{key} in {what} must be a scalar or a list of equal scalars, not {value!r}")
            values[key] = value
        parameters[node] = values
    return parameters


def _check_node(node: str, place: Entry, what: str, rules: Mapping[str, NodeRule]) -> None:
    if node not in rules:
        raise place.error(f"{what} names the unknown node '{node}'; known: {', '.join(rules)}")


def _is_parameter(value: object) -> bool:
    scalars = (bool, int, float, str)
    if isinstance(value, list):
        return len({type(item) for item in value}) <= 1 and all(isinstance(item, scalars) for item in value)
    return isinstance(value, scalars)


def find_cycle(edges: Mapping[str, Iterable[str]]) -> list[str]:
    """A cycle of the graph as [a, b, ..., a], or [] if it has none."""
    done: set[str] = set()
    for start in edges:
        path: list[str] = []
        stack = [(start, iter(edges[start]))] if start not in done else []
        while stack:
            node, others = stack[-1]
            if len(path) < len(stack):
                path.append(node)
            following = next(others, None)
            if following is None:
                done.add(node)
                stack.pop()
                path.pop()
            elif following in path:
                return [*path[path.index(following) :], following]
            elif following not in done:
                stack.append((following, iter(edges.get(following, ()))))
    return []
