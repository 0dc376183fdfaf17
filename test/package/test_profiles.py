"""The shipped profiles: every name and value is one that the nodes take, and the stack comes up with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bbia_ros.bringup import Options, Stack
from bbia_ros.dialogue.node import ENGINES as CHAT_ENGINES
from bbia_ros.dialogue.parameters import DialogueParameters
from bbia_ros.domain import free_domain
from bbia_ros.emotion.parameters import EmotionParameters
from bbia_ros.manager.parameter_files import BringupError, budget_mb
from bbia_ros.perception.parameters import OBJECT_ENGINES, PerceptionParameters
from bbia_ros.resources import shared_folder
from bbia_ros.ros.models import build_choice
from bbia_ros.ros.parameters import ParameterError, build, declarations
from bbia_ros.speech.parameters import SpeechParameters

KINDS: dict[str, Any] = {
    "perception": PerceptionParameters,
    "speech": SpeechParameters,
    "dialogue": DialogueParameters,
    "emotion": EmotionParameters,
}
PROFILES = {path.stem: path for path in (shared_folder("config") / "profiles").glob("*.yaml")}


def chosen(profile: str, node: str) -> dict[str, Any]:
    content = yaml.safe_load(PROFILES[profile].read_text(encoding="utf-8"))
    return dict(content.get(f"/**/{node}", {}).get("ros__parameters", {}))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("node", KINDS)
def test_every_value_is_one_that_the_node_takes(profile: str, node: str) -> None:
    known = {declaration.name: declaration for declaration in declarations(KINDS[node])}
    for name, value in chosen(profile, node).items():
        known[name].check(value)


def test_budgets_grow_from_lite_to_standard() -> None:
    budgets = {name: budget_mb([path]) for name, path in PROFILES.items()}
    assert set(budgets) >= {"lite", "standard", "torch"}
    assert 0 < budgets["lite"] <= 1100 < budgets["standard"]
    assert budgets["lite"] < budgets["torch"]


def test_in_the_torch_profile_torch_engines_share_a_worker() -> None:
    perception = build(PerceptionParameters, chosen("torch", "perception"))
    dialogue = build(DialogueParameters, chosen("torch", "dialogue"))
    eyes = build_choice("objects", perception.objects, task="objects", engines=OBJECT_ENGINES).spec
    chat = build_choice("chat", dialogue.chat, task="chat", engines=CHAT_ENGINES).spec
    assert eyes.worker == chat.worker == "torch"
    assert eyes.nice == chat.nice  # one process has one niceness
    assert eyes.engine.endswith(":UltralyticsDetector")
    assert chat.engine.endswith(":TransformersChat")


def test_without_torch_the_sentence_tells_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    perception = build(PerceptionParameters, chosen("torch", "perception"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ParameterError, match=r"'ultralytics' of objects needs ultralytics, .* not installed: make torch"
    ):
        build_choice("objects", perception.objects, task="objects", engines=OBJECT_ENGINES)


def test_a_gpu_that_is_not_there_is_refused_without_loading_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bbia_ros.ros.models.gpu_count", lambda: 0)
    perception = build(PerceptionParameters, {**chosen("torch", "perception"), "objects.device": "cuda"})
    with pytest.raises(ParameterError, match=r"'objects\.device' is 'cuda', but this machine has no NVIDIA GPU"):
        build_choice("objects", perception.objects, task="objects", engines=OBJECT_ENGINES)
    monkeypatch.setattr("bbia_ros.ros.models.gpu_count", lambda: 1)
    assert build_choice("objects", perception.objects, task="objects", engines=OBJECT_ENGINES).spec.device == "cuda"


@pytest.mark.heavy
@pytest.mark.parametrize("profile", ["standard", "torch"])
def test_the_stack_comes_up(profile: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(free_domain()))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with Stack(Options(mode="sleep", driver="mock", profile=profile)) as stack:
        status = stack.wait_ready(60.0)
        states = {node.name: node.state for node in status.nodes}
        assert {states[name] for name in KINDS} == {"inactive"}, states
        assert status.budget_bytes == budget_mb([PROFILES[profile]]) * 1e6
    with pytest.raises(BringupError, match="unknown profile 'gpu'; known: lite, standard, torch"):
        Stack(Options(profile="gpu"))
