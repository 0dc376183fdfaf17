"""The dialogue node with the real language model in its worker, from hearing to silence."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rclpy.parameter import Parameter

from bbia_ros.dialogue.node import DialogueNode
from bbia_ros.msg import DialogueTurn, Utterance
from bbia_ros.ros import qos
from bbia_ros.ros.testing import NodeRunner, wait_until

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeRunner]:
    parameters = {
        "memory.folder": str(tmp_path_factory.mktemp("memory")),
        "generation.seed": 3,
        "generation.answer_tokens": 32,
        "speak": False,
    }
    with NodeRunner(DialogueNode, parameters=parameters, budget_mb=1000.0) as runner:
        assert runner.configure()
        yield runner


def resident(runner: NodeRunner) -> list[Any]:
    return [model for model in runner.process.models() if model.pid]


def test_a_model_is_in_memory_only_while_the_node_is_active_and_needs_it(runner: NodeRunner) -> None:
    assert runner.activate()
    turns = runner.collect(DialogueTurn, "dialogue/turns", qos.EVENT)
    heard = runner.publisher(Utterance, "speech/heard", qos.EVENT)
    wait_until(lambda: runner.node._turns.subscribers > 0, 5.0, "dialogue/turns")  # type: ignore[attr-defined]
    heard.publish(Utterance(id="1", text="What is your name?", final=True, confidence=0.9))
    assert turns.wait(lambda turn: turn.role == "robot" and turn.final).source == "rule"
    assert resident(runner) == []

    heard.publish(Utterance(id="2", text="Tell me something", final=False, confidence=0.9))
    wait_until(lambda: len(resident(runner)) == 1, 30.0, "the prefetched model")

    heard.publish(Utterance(id="2", text="Tell me something about the moon.", final=True, confidence=0.9))
    answer = turns.wait(lambda turn: turn.final and turn.source == "chat", 60.0)
    assert "moon" in answer.text.lower()
    partial = [turn for turn in turns.messages if turn.id == answer.id and not turn.final]
    assert partial
    # The last words of the model may be an unfinished sentence, which the final text leaves out.
    grown = [(turn.text.strip(), answer.text) for turn in partial]
    assert all(whole.startswith(part) or part.startswith(whole) for part, whole in grown)

    [model] = resident(runner)
    assert runner.deactivate()
    assert resident(runner) == []
    assert not Path(f"/proc/{model.pid}").exists()


def test_a_worker_killed_while_it_answers_is_an_apology_not_a_crash(runner: NodeRunner) -> None:
    longer = Parameter("generation.answer_tokens", value=400)
    assert runner.on_executor(lambda: runner.node.set_parameters([longer]))[0].successful
    assert runner.activate()
    turns = runner.collect(DialogueTurn, "dialogue/turns", qos.EVENT)
    heard = runner.publisher(Utterance, "speech/heard", qos.EVENT)
    wait_until(lambda: runner.node._turns.subscribers > 0, 5.0, "dialogue/turns")  # type: ignore[attr-defined]
    heard.publish(Utterance(id="1", text="Tell me a long story about the stars.", final=True, confidence=0.9))
    turns.wait(lambda turn: turn.role == "robot" and not turn.final, 60.0)
    [model] = resident(runner)
    os.kill(model.pid, signal.SIGKILL)
    answer = turns.wait(lambda turn: turn.role == "robot" and turn.final, 60.0)
    assert answer.text.endswith("I am sorry, I lost my train of thought.")
    assert any("chat" in fault for fault in runner.node.faults())
    turns.clear()
    heard.publish(Utterance(id="2", text="Tell me something about the sun.", final=True, confidence=0.9))
    assert turns.wait(lambda turn: turn.role == "robot" and turn.final, 60.0).source == "chat"
    assert not runner.node.faults()
    assert runner.deactivate()
