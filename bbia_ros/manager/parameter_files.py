"""ROS parameter files: checked before they are handed to rcl, written for what the user chose. No ROS in here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bbia_ros.manager.yaml_lines import DocumentError, Entry, read_document


class BringupError(ValueError):
    """The stack cannot be started as asked; the message is one sentence for the user."""


def one_of(what: str, value: str, known: Sequence[str]) -> None:
    """Raises BringupError when `value` is not among the known ones, and lists them."""
    if value not in known:
        raise BringupError(f"unknown {what} '{value}'; known: {', '.join(known)}")


def check_parameter_file(path: Path) -> None:
    """Raises BringupError when a ROS parameter file is not readable, or would silently lose a duplicate key."""
    try:
        root = read_document(path)
        root.check_keys("the file")
        _check_sections(root, "the file")
    except DocumentError as error:
        raise BringupError(str(error)) from error


def _check_sections(entry: Entry, what: str) -> None:
    for name, section in entry.mapping(what).items():
        if name == "ros__parameters":
            section.mapping("ros__parameters")
        else:
            _check_sections(section, f"'{name}'")


def write_parameters(path: Path, parameters: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes parameters by node as a ROS parameter file that fits any namespace."""
    document = {f"/**/{node}": {"ros__parameters": dict(values)} for node, values in parameters.items()}
    text = yaml.safe_dump(document, sort_keys=False)
    path.write_text(f"# Chosen when the stack was started.\n{text}", encoding="utf-8")


def budget_mb(files: Sequence[Path]) -> float:
    """The manager's parameter budget_mb as the last of the files states it; 0: no limit.

    Raises:
        BringupError: it is no number.
    """
    budget: Any = 0.0
    for path in files:
        for node, parameters in _sections(yaml.safe_load(path.read_text(encoding="utf-8")), ""):
            if node.rsplit("/", 1)[-1] in ("manager", "**"):
                budget = parameters.get("budget_mb", budget)
    if isinstance(budget, bool) or not isinstance(budget, int | float) or not 0 <= budget < float("inf"):
        raise BringupError(f"manager.budget_mb must be a number of megabytes, 0 for no limit, not {budget!r}")
    return float(budget)


def _sections(document: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node name of a parameter file, namespaces included, with its parameters."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "ros__parameters":
                yield name, value or {}
            else:
                yield from _sections(value, f"{name}/{str(key).strip('/')}")


def parse_override(text: str, nodes: Sequence[str]) -> tuple[str, str, Any]:
    """Splits "node.key=value" into node, parameter and YAML value.

    Raises:
        BringupError: not of that form, or an unknown node.
    """
    name, equals, value = text.partition("=")
    node, dot, key = name.strip().partition(".")
    if not (equals and dot and key):
        raise BringupError(f"'{text}' is no parameter; write node.key=value, like perception.objects.rate_hz=5.0")
    one_of("node", node, nodes)
    try:
        return node, key, yaml.safe_load(value) if value.strip() else ""
    except yaml.YAMLError as error:
        raise BringupError(f"the value of {name.strip()} is not valid YAML: {value}") from error
