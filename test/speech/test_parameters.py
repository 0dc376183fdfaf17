from __future__ import annotations

from typing import Any

import pytest
import yaml

from bbia_ros.resources import shared_folder
from bbia_ros.ros.parameters import build, declarations
from bbia_ros.speech.parameters import SpeechParameters, contradiction
from bbia_ros.speech.turns import TurnSettings


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def test_the_config_file_shows_every_parameter_with_its_default() -> None:
    tree = yaml.safe_load((shared_folder("config") / "speech.yaml").read_text(encoding="utf-8"))
    written = flat(tree["/**"]["speech"]["ros__parameters"])
    defaults = {d.name: d.default for d in declarations(SpeechParameters)}
    assert written == {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}


def test_turn_parameters_and_settings_agree() -> None:
    assert TurnSettings(**vars(SpeechParameters().turns)) == TurnSettings()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"turns.stop_probability": 0.6}, "a voice would end before it begins"),
        ({"turns.speculate_s": 0.6}, "longer than turns.end_s 0.5"),
        ({}, ""),
    ],
)
def test_contradictions_are_named(values: dict[str, Any], sentence: str) -> None:
    found = contradiction(build(SpeechParameters, values))
    assert (sentence in found) if sentence else found == ""
