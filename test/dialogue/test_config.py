"""The shipped configuration shows every parameter with its default."""

from __future__ import annotations

from typing import Any

import yaml

from bbia_ros.dialogue.parameters import DialogueParameters
from bbia_ros.resources import shared_folder
from bbia_ros.ros.parameters import declarations


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return found


def test_configuration_lists_every_parameter_with_its_default() -> None:
    content = yaml.safe_load((shared_folder("config") / "dialogue.yaml").read_text(encoding="utf-8"))
    shipped = flat(content["/**"]["dialogue"]["ros__parameters"])
    defaults = {d.name: d.default for d in declarations(DialogueParameters)}
    assert shipped == {k: list(v) if isinstance(v, tuple) else v for k, v in defaults.items()}
