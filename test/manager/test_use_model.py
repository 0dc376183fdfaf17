"""From `bbia models use` through the manager to the node whose model is exchanged, on a real graph."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bbia_ros.manager.node import ManagerNode
from bbia_ros.msg import StackStatus
from bbia_ros.ros import qos
from bbia_ros.ros.context import ProcessContext
from bbia_ros.ros.lifecycle import BbiaNode
from bbia_ros.ros.models import Engine, ModelParameters, model_params
from bbia_ros.ros.testing import NodeRunner
from bbia_ros.srv import UseModel

pytestmark = pytest.mark.heavy
sys.path.insert(0, str(Path(__file__).parent))
MODES = """
nodes: {mouth: {}}
modes: {talk: {active: [mouth]}}
"""


@dataclass(frozen=True)
class MouthParameters:
    chat: ModelParameters = model_params(engine="toy", declared_mb=1.0)


class Mouth(BbiaNode[MouthParameters]):
    parameters_type = MouthParameters

    def __init__(self, context: ProcessContext) -> None:
        super().__init__("mouth", context)

    def configure(self) -> None:
        engines = {"toy": Engine("toy_chat:Toy")}
        self.choice = self.choose_model("chat", self.params.chat, task="chat", engines=engines)

    def activate(self) -> None:
        self.chat = self.slot(self.choice)


def options(**parameters: Any) -> list[str]:
    return ["--ros-args", *(word for name, value in parameters.items() for word in ("-p", f"{name}:={value}"))]


class Scene:
    def __init__(self, folder: Path) -> None:
        self.large, self.small = folder / "large.toy", folder / "small.toy"
        for path in (self.large, self.small):
            path.write_text("a model")
        (folder / "modes.yaml").write_text(MODES)
        variants = [str(self.large), "/nowhere/else.toy", str(self.small)]
        self.run = NodeRunner(
            Mouth,
            isolation="inline",
            node_arguments={
                "manager": options(modes_file=folder / "modes.yaml", mode="talk"),
                "mouth": options(**{"chat.model": self.large, "chat.variants": json.dumps(variants)}),
            },
        )
        self.status = self.run.collect(StackStatus, "manager/status", qos.STATE)
        self.manager = ManagerNode(self.run.process)
        self.executor = self.run._executor
        self.run.on_executor(lambda: self.executor.add_node(self.manager))

    @property
    def node(self) -> Any:
        return self.run.node

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bbia_ros.cli", "models", *words],
            capture_output=True, text=True, timeout=60, env={**os.environ, "COLUMNS": "200"},
        )  # fmt: skip

    def close(self) -> None:
        self.run.on_executor(lambda: self.executor.remove_node(self.manager))
        if self.node.active:
            self.run.deactivate()
        self.manager.destroy_node()
        self.run.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    try:
        made.status.wait(lambda status: status.mode == "talk", 30.0)
        yield made
    finally:
        made.close()


def test_a_task_is_given_another_model_by_the_command_line(scene: Scene) -> None:
    scene.status.wait(lambda status: any(model.task == "chat" for model in status.models))
    assert scene.node.chat.call("who") == str(scene.large)

    done = scene.cli("use", "chat", str(scene.small))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"chat uses {scene.small} instead of {scene.large}" in done.stdout
    assert scene.node.chat.call("who") == str(scene.small)
    row = scene.status.wait(lambda s: [m.name for m in s.models] == [f"chat:{scene.small}"]).models[0]
    assert row.variants == [str(scene.large), str(scene.small)]
    assert (row.pinned, row.device, row.ttl_s) == (False, "cpu", 300.0)

    for words, says in (
        (("chat", "gpt"), f"chat has no variant 'gpt'; it can use {scene.large}, {scene.small}"),
        (("chat", "/nowhere/else.toy"), "chat cannot use '/nowhere/else.toy': no model"),
        (("chess", "x"), "unknown task 'chess'; tasks with models now: chat"),
    ):
        refused = scene.cli("use", *words)
        assert refused.returncode == 2
        assert says in refused.stderr
        assert refused.stderr.count("\n") == 1

    listed = scene.cli("list", "--running", "--task", "chat")
    assert listed.returncode == 0
    assert any(str(scene.small) in line and "idle" in line for line in listed.stdout.splitlines())

    back = scene.run.call(UseModel, "manager/use_model", UseModel.Request(task="chat"), 30.0)
    assert back.ok
    assert scene.node.chat.call("who") == str(scene.large)
