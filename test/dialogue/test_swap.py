"""The dialogue node changes its language model while people talk to it, with real models in real workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rclpy.parameter import Parameter
from smaller_gguf import keep_layers

from bbia_ros.dialogue.node import DialogueNode
from bbia_ros.msg import DialogueTurn, Residency, Utterance
from bbia_ros.residency.catalog import resolve
from bbia_ros.ros import qos
from bbia_ros.ros.testing import NodeRunner, wait_until
from bbia_ros.srv import UseModel

pytestmark = pytest.mark.heavy
LARGE = "smollm2-135m"
QUESTION = "Tell me something about the moon."


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same model with 8 of its 30 layers: half the size."""
    return str(keep_layers(resolve(LARGE, "chat"), tmp_path_factory.mktemp("models") / "small.gguf", 8))


class Talk:
    """A dialogue node, somebody who asks, and what is answered."""

    def __init__(self, runner: NodeRunner) -> None:
        self.runner = runner
        self.turns = runner.collect(DialogueTurn, "dialogue/turns", qos.EVENT)
        self.residency = runner.collect(Residency, "dialogue/residency", qos.STATE)
        self.heard = runner.publisher(Utterance, "speech/heard", qos.EVENT)
        wait_until(lambda: runner.node._turns.subscribers > 0, 5.0, "dialogue/turns")  # type: ignore[attr-defined]
        self.count = 0

    def ask(self) -> None:
        self.turns.clear()
        self.count += 1
        self.heard.publish(Utterance(id=str(self.count), text=QUESTION, final=True, language="en", confidence=0.9))

    def answer(self) -> DialogueTurn:
        answer = self.turns.wait(lambda turn: turn.role == "robot" and turn.final, 60.0)
        assert answer.source == "chat"
        return answer

    def use(self, model: str) -> UseModel.Response:
        return self.runner.call(UseModel, "dialogue/use_model", UseModel.Request(task="chat", model=model), 60.0)

    @property
    def resident(self) -> list[Any]:
        return [model for model in self.runner.process.models() if model.pid]


@pytest.fixture(autouse=True)
def _nothing_measured_yet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Sizes are the declared ones: what was measured depends on who else maps the same file."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@contextmanager
def talk(small: str, folder: Path, budget_mb: float | None, start: str) -> Iterator[Talk]:
    parameters = {
        "generation.history": 0,
        "memory.folder": str(folder),
        "generation.seed": 3,
        "generation.answer_tokens": 40,
        "generation.temperature": 0.0,
        "speak": False,
        "chat.model": start,
        "chat.variants": [LARGE, small],
    }
    with NodeRunner(DialogueNode, parameters=parameters, budget_mb=budget_mb) as runner:
        assert runner.configure()
        assert runner.activate()
        yield Talk(runner)
        assert runner.deactivate()
        assert [model for model in runner.process.models() if model.pid] == []


def test_an_answer_is_finished_before_its_model_goes(small: str, tmp_path: Path) -> None:
    with talk(small, tmp_path, None, LARGE) as scene:
        scene.ask()
        whole = scene.answer()
        scene.ask()
        scene.turns.wait(lambda turn: turn.role == "robot" and not turn.final, 60.0)
        [before] = scene.resident
        swap = scene.use(small)
        assert swap.ok, swap.message
        assert swap.message.startswith(f"chat uses {small} instead of {LARGE}; {LARGE} released ")
        assert swap.released_bytes > 20_000_000
        assert scene.answer().text == whole.text, "the answer that was under way is the same to its end"
        [after] = scene.resident
        assert (after.name, before.name) == (f"chat:{small}", f"chat:{LARGE}")
        assert not Path(f"/proc/{before.pid}").exists()
        status = scene.residency.wait(lambda m: [row.name for row in m.models] == [after.name])
        assert status.models[0].variants == [LARGE, small]
        scene.ask()
        assert scene.answer().text != whole.text
        assert scene.runner.node.faults() == []


def test_a_question_asked_while_neither_model_is_there_is_answered(small: str, tmp_path: Path) -> None:
    with talk(small, tmp_path, 200.0, small) as scene:  # room for one
        scene.ask()
        scene.answer()
        slot = scene.runner.node._chat  # type: ignore[attr-defined]
        swap = slot.use_later(LARGE)
        wait_until(lambda: slot._books.handover != "" or swap.done(), 30.0, "the handover")
        assert not swap.done()
        scene.ask()
        assert "moon" in scene.answer().text.lower(), "the larger model's words"
        assert swap.result(30.0).released_bytes > 20_000_000
        assert [model.name for model in scene.resident] == [f"chat:{LARGE}"]
        assert scene.runner.node.faults() == []
        refused = scene.use("gpt-9")
        assert not refused.ok
        assert refused.message == f"chat has no variant 'gpt-9'; it can use {LARGE}, {small}"
        refused = scene.runner.call(UseModel, "dialogue/use_model", UseModel.Request(task="stt", model="x"))
        assert refused.message == "dialogue has no task 'stt'; its tasks: chat"


def test_where_memory_is_short_a_smaller_model_answers_and_says_so(small: str, tmp_path: Path) -> None:
    with talk(small, tmp_path, 150.0, LARGE) as scene:
        scene.ask()
        scene.answer()
        [model] = scene.resident
        assert model.name == f"chat:{small}"
        [fault] = scene.runner.node.faults()
        assert fault.startswith(f"chat uses {small} instead of {LARGE}: chat:{LARGE} is not loaded: it needs 190 MB")
        back = scene.use("")
        assert not back.ok
        assert back.message.startswith(f"chat still uses {small}: chat:{LARGE} is not loaded")
        scene.ask()
        scene.answer()
        # Its time to live changes while it is in memory.
        shorter = Parameter("chat.ttl_s", value=0.2)
        assert scene.runner.on_executor(lambda: scene.runner.node.set_parameters([shorter]))[0].successful
        wait_until(lambda: scene.resident == [], 10.0, "the idle model to go")


def test_a_choice_made_while_the_node_sleeps_holds_when_it_wakes(small: str, tmp_path: Path) -> None:
    with talk(small, tmp_path, None, LARGE) as scene:
        assert scene.runner.deactivate()
        swap = scene.use(small)
        assert (swap.ok, swap.message) == (True, f"chat uses {small} once dialogue is active")
        assert scene.runner.activate()
        scene.ask()
        scene.answer()
        assert [model.name for model in scene.resident] == [f"chat:{small}"]
