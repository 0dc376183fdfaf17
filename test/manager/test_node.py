"""The manager on a real ROS graph, with small nodes that obey, refuse, hang and vanish."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from stage import Stage, detail, states

from bbia_ros.manager.node import ManagerNode
from bbia_ros.ros.context import ProcessContext
from bbia_ros.ros.lifecycle import BbiaNode, ConfigurationError
from bbia_ros.ros.parameters import param
from bbia_ros.ros.testing import FakePool, NodeRunner
from bbia_ros.srv import FreeMemory, ManageNodes, ModelCommand, SetMode, UseModel

pytestmark = pytest.mark.heavy

MODES = """
nodes:
  base: {timeout_s: 1.5}
  legs: {needs: [base]}
  eyes: {needs: [base]}
modes:
  rest: {active: [base], parameters: {base: {posture: asleep}}}
  walk: {active: [base, legs], parameters: {base: {posture: awake}}}
  all: {active: [base, legs, eyes], parameters: {base: {posture: awake}}}
  odd: {active: [base], parameters: {base: {posture: upside-down}}}
"""


@dataclass(frozen=True)
class LimbParameters:
    posture: str = param("none", "posture", choices=("none", "asleep", "awake"))


class Limb(BbiaNode[LimbParameters]):
    """Does what the test has put into `on_activate_do`."""

    parameters_type = LimbParameters

    def __init__(self, name: str, context: ProcessContext) -> None:
        super().__init__(name, context)
        self.seen: list[str] = []
        self.obstacle: Any = None

    def configure(self) -> None:
        self.seen.append("configure")

    def activate(self) -> None:
        self.seen.append(f"activate {self.params.posture}")
        if isinstance(self.obstacle, Exception):
            raise self.obstacle
        if self.obstacle is not None:
            self.obstacle.wait(20)

    def deactivate(self) -> None:
        self.seen.append("deactivate")


@pytest.fixture
def modes(tmp_path: Path) -> Path:
    path = tmp_path / "modes.yaml"
    path.write_text(MODES)
    return path


@pytest.fixture
def stage(modes: Path) -> Iterator[Stage]:
    made = Stage(modes, "rest", dict.fromkeys(("base", "legs", "eyes"), Limb))
    try:
        made.wait(lambda s: s.mode == "rest")
        yield made
    finally:
        for run in made.runs.values():
            if hasattr(run.node.obstacle, "set"):
                run.node.obstacle.set()
        made.close()


def test_modes_are_entered_in_order_with_their_parameters(stage: Stage) -> None:
    assert states(stage.statuses.messages[-1]) == {
        "manager": "active", "base": "active", "legs": "inactive", "eyes": "inactive"
    }  # fmt: skip
    assert stage.node("base").seen == ["configure", "activate asleep"]
    answer = stage.set_mode("all")
    assert answer.ok
    assert "2 transitions" in answer.message
    assert stage.node("base").params.posture == "awake"
    status = stage.wait(lambda s: s.mode == "all")
    assert set(states(status).values()) == {"active"}
    assert status.target_mode == "all"
    assert stage.set_mode("walk").ok
    assert stage.node("eyes").seen[-1] == "deactivate"
    assert stage.node("base").seen == ["configure", "activate asleep"]
    stage.wait(lambda s: len(s.processes) == 1 and s.total_pss_bytes > 20e6 and s.available_bytes > 0)


def test_unknown_modes_nodes_models_and_parameters_get_one_sentence(stage: Stage) -> None:
    answer = stage.set_mode("dance")
    assert not answer.ok
    assert answer.message == "unknown mode 'dance'; known: rest, walk, all, odd"
    request = ManageNodes.Request(activate=["wings"])
    assert "unknown node 'wings'" in stage.call(ManageNodes, "manager/manage_nodes", request).message
    request = ManageNodes.Request(activate=["legs"], deactivate=["base"])
    assert "cannot be activated and deact" in stage.call(ManageNodes, "manager/manage_nodes", request).message
    answer = stage.call(ModelCommand, "manager/reset_model", ModelCommand.Request(name="brain"))
    assert answer.message == "unknown model 'brain'; known: none yet"
    answer = stage.call(UseModel, "manager/use_model", UseModel.Request(task="chess", model="x"))
    assert not answer.ok
    assert answer.message == "unknown task 'chess'; tasks with models now: none, activate a node first"
    answer = stage.call(FreeMemory, "manager/free_memory", FreeMemory.Request(requester="a", needed_bytes=5))
    assert not answer.ok
    answer = stage.set_mode("odd")
    assert not answer.ok
    assert "base: set parameters failed: posture: parameter 'posture' is 'upside-down', allowed is" in answer.message
    assert stage.set_mode("rest").ok


def test_single_nodes_are_managed_with_their_dependencies(stage: Stage) -> None:
    answer = stage.call(ManageNodes, "manager/manage_nodes", ManageNodes.Request(activate=["eyes"]))
    assert answer.ok
    answer = stage.call(ManageNodes, "manager/manage_nodes", ManageNodes.Request(deactivate=["base"]))
    assert answer.ok
    assert states(stage.wait(lambda s: states(s)["base"] == "inactive"))["eyes"] == "inactive"
    assert stage.node("eyes").seen[-1] == "deactivate"
    assert stage.set_mode("walk").ok


def test_the_last_request_wins_and_the_same_wish_is_joined(stage: Stage) -> None:
    stage.node("legs").obstacle = gate = threading.Event()
    first = stage.begin_mode("walk")
    stage.wait(lambda s: states(s)["legs"] == "activating")
    second = stage.begin_mode("walk")
    stage.call(SetMode, "manager/set_mode", SetMode.Request(mode="nonsense"))
    third = stage.begin_mode("rest")
    assert first().message == second().message == "superseded by mode 'rest'"
    assert not first().ok
    stage.statuses.clear()
    gate.set()
    assert third().ok
    assert stage.node("legs").seen[-1] == "deactivate"
    stage.wait(lambda s: s.target_mode == "rest" and states(s)["legs"] == "inactive")


def test_a_refusing_node_leaves_the_others_in_place_and_says_why(stage: Stage) -> None:
    stage.node("eyes").obstacle = ConfigurationError("the lens cap is on")
    answer = stage.set_mode("all")
    assert not answer.ok
    assert answer.message == (
        "mode 'all' is incomplete: eyes: activate failed: cannot be activated: the lens cap is on"
    )
    status = stage.wait(lambda s: "lens cap" in detail(s, "eyes"))
    assert states(status)["legs"] == "active"
    assert (status.mode, status.target_mode) == ("rest", "all")
    stage.node("eyes").obstacle = None
    assert stage.set_mode("all").ok
    stage.wait(lambda s: s.mode == "all" and detail(s, "eyes") == "")


def test_a_hanging_transition_is_given_up_and_taken_up_again_when_it_ends(stage: Stage) -> None:
    assert stage.call(ManageNodes, "manager/manage_nodes", ManageNodes.Request(deactivate=["base"])).ok
    stage.node("base").obstacle = gate = threading.Event()
    answer = stage.set_mode("walk")
    assert not answer.ok
    assert "base: activate failed: no answer within 1.5 s" in answer.message
    assert "legs: waits for base" in answer.message
    stage.statuses.clear()
    gate.set()
    status = stage.wait(lambda s: s.mode == "walk")
    assert states(status)["legs"] == "active"


def test_a_node_that_vanishes_is_reported_and_brought_back_when_it_returns(stage: Stage) -> None:
    assert stage.set_mode("walk").ok
    stage.statuses.clear()
    stage.remove("legs")
    status = stage.wait(lambda s: states(s)["legs"] == "unknown")
    assert detail(status, "legs")
    assert states(status)["base"] == "active"
    stage.statuses.clear()
    legs = stage.add("legs", Limb)
    status = stage.wait(lambda s: states(s)["legs"] == "active")
    assert detail(status, "legs") == ""
    assert legs.seen == ["configure", "activate none"]
    assert stage.node("base").seen == ["configure", "activate asleep"]


def test_a_node_moved_by_hand_is_left_there_until_the_next_request(stage: Stage) -> None:
    assert stage.set_mode("walk").ok
    stage.runs["legs"].run(stage.node("legs").trigger_deactivate)
    status = stage.wait(lambda s: "not by the manager" in detail(s, "legs"))
    assert states(status)["legs"] == "inactive"
    assert stage.set_mode("walk").ok
    assert stage.node("legs").seen[-1] == "activate none"


def test_a_missing_node_is_named_and_the_others_run(modes: Path) -> None:
    stage = Stage(modes, "walk", {"base": Limb})
    try:
        status = stage.wait(lambda s: "is not running" in detail(s, "legs") and states(s)["base"] == "active")
        assert status.mode == ""
        answer = stage.set_mode("walk")
        assert not answer.ok
        assert "legs: is not running: no sign of life yet" in answer.message
    finally:
        stage.close()


@pytest.mark.parametrize(
    ("text", "says"), [(MODES + "  rest: {}", "twice"), ("nodes: {a: {needs: [a]}}\nmodes: {m: }", "circle")]
)
def test_a_wrong_modes_file_fails_configure_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "modes.yaml"
    path.write_text(text)
    with NodeRunner(ManagerNode, pool=FakePool({}), parameters={"modes_file": str(path), "mode": ""}) as run:
        assert not run.configure()
        (fault,) = run.node.faults()
        assert says in fault
        assert "line " in fault
