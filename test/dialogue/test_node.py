"""The dialogue node on a real graph: fake language model, fake speech and motion."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from geometry_msgs.msg import Vector3
from rclpy.action import ActionClient, ActionServer, CancelResponse
from std_srvs.srv import Trigger

from bbia_ros.action import Chat, LookAt, Say
from bbia_ros.dialogue.node import DialogueNode
from bbia_ros.msg import Detection, DetectionArray, DialogueTurn, Utterance
from bbia_ros.residency.errors import WorkerDied
from bbia_ros.ros import qos
from bbia_ros.ros.testing import FakePool, NodeRunner, wait_until
from bbia_ros.srv import SetMode

pytestmark = pytest.mark.heavy


class FakeChat:
    """Answers in pieces; holds before the last sentence until told to go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.prompts: list[list[dict[str, str]]] = []
        self.closed = threading.Event()
        self.dies = 0

    def chat(self, messages: list[dict[str, str]], **_: Any) -> Iterator[str]:
        self.prompts.append(messages)
        if self.dies:
            self.dies -= 1
            raise WorkerDied("worker of 'chat' (pid 7) ended with SIGKILL")
        try:
            yield "The moon goes round"
            yield " the Earth. It has"
            assert self.go_on.wait(20.0)
            yield " many craters."
        finally:
            self.closed.set()


class Robot:
    """speech/say, motion/look_at and manager/set_mode as the other nodes would offer them."""

    def __init__(self, runner: NodeRunner) -> None:
        self.said: list[str] = []
        self.languages: list[str] = []
        self.looked: list[str] = []
        self.modes: list[tuple[str, int]] = []
        self.hold_speech = threading.Event()
        self.hold_speech.set()
        self.interrupted = False
        probe = runner.probe
        ActionServer(probe, Say, "speech/say", self.say, cancel_callback=lambda _: CancelResponse.ACCEPT)
        ActionServer(probe, LookAt, "motion/look_at", self.look)
        probe.create_service(SetMode, "manager/set_mode", self.set_mode)

    async def say(self, handle: Any) -> Say.Result:
        self.said.append(handle.request.text)
        self.languages.append(handle.request.language)
        handle.succeed()
        return Say.Result(ok=True, utterance_id=handle.request.utterance_id, interrupted=self.interrupted)

    async def look(self, handle: Any) -> LookAt.Result:
        self.looked.append(handle.request.target)
        handle.succeed()
        return LookAt.Result(ok=True)

    def set_mode(self, request: SetMode.Request, response: SetMode.Response) -> SetMode.Response:
        self.modes.append((request.mode, len(self.said)))
        response.ok = True
        return response


class Stage:
    """A running dialogue node with everything around it."""

    def __init__(self, runner: NodeRunner, chat: FakeChat) -> None:
        self.runner, self.chat = runner, chat
        self.robot = Robot(runner)
        assert runner.configure()
        assert runner.activate()
        self.turns = runner.collect(DialogueTurn, "dialogue/turns", qos.EVENT)
        self.heard = runner.publisher(Utterance, "speech/heard", qos.EVENT)
        self.objects = runner.publisher(DetectionArray, "perception/objects", qos.EVENT)
        node: Any = runner.node
        wait_until(node._voice._client.server_is_ready, 5.0, "speech/say")
        wait_until(node._deeds._clients.look_at.server_is_ready, 5.0, "motion/look_at")
        wait_until(node._deeds._clients.set_mode.service_is_ready, 5.0, "manager/set_mode")
        wait_until(lambda: node._turns.subscribers > 0, 5.0, "dialogue/turns")

    def hear(self, text: str, final: bool = True) -> None:
        self.heard.publish(Utterance(id="u1", text=text, final=final, language="en", confidence=0.9))

    def see(self, *labels: str) -> None:
        found = [Detection(label=label, score=0.9, bearing=Vector3(x=1.0)) for label in labels]
        seen = len(self.node.scene._frames)
        self.objects.publish(DetectionArray(detections=found))
        wait_until(lambda: len(self.node.scene._frames) > seen, 5.0, "the detections")

    def answer(self) -> DialogueTurn:
        return self.turns.wait(lambda turn: turn.role == "robot" and turn.final)

    @property
    def node(self) -> Any:
        return self.runner.node


@pytest.fixture
def stage(tmp_path: Any) -> Iterator[Stage]:
    chat = FakeChat()
    parameters = {"memory.folder": str(tmp_path), "chat.engine": "openai", "chat.model": "fake"}
    with NodeRunner(DialogueNode, pool=FakePool({"chat": chat}), parameters=parameters) as runner:
        yield Stage(runner, chat)
        chat.go_on.set()
        runner.deactivate()


def test_tells_what_the_detections_show_and_says_it(stage: Stage) -> None:
    stage.see("apple", "duck", "duck")
    stage.hear("Hello robot, what do you see on the table?")
    answer = stage.answer()
    assert answer.text == "Hello! I see an apple and two ducks."
    assert (answer.source, answer.tool) == ("rule", "see")
    wait_until(lambda: stage.robot.said == ["Hello!", "I see an apple and two ducks."], 5.0, "the voice")
    question = stage.turns.wait(lambda turn: turn.role == "user")
    assert question.utterance_id == "u1"
    assert stage.chat.prompts == []


def test_speaks_the_first_sentence_while_the_rest_is_still_written(stage: Stage) -> None:
    stage.hear("Tell me something about the moon.")
    wait_until(lambda: stage.robot.said == ["The moon goes round the Earth."], 5.0, "the first sentence")
    assert not any(turn.final for turn in stage.turns.messages if turn.role == "robot")
    partial = stage.turns.wait(lambda turn: turn.role == "robot")
    assert partial.utterance_id == f"{partial.id}-1", "so that the voice gets ready"
    stage.chat.go_on.set()
    answer = stage.answer()
    assert answer.text == "The moon goes round the Earth. It has many craters."
    assert answer.source == "chat"
    wait_until(lambda: stage.robot.said[1:] == ["It has many craters."], 5.0, "the second sentence")


def test_turns_to_a_thing_that_is_seen_and_to_none_that_is_not(stage: Stage) -> None:
    stage.see("apple")
    stage.hear("Please look at the Apple.")
    assert stage.answer().text == "I am looking at the apple."
    wait_until(lambda: stage.robot.looked == ["apple"], 5.0, "motion/look_at")
    stage.turns.clear()
    stage.hear("Look at the duck.")
    assert stage.answer().text == "I do not see a duck."
    assert stage.robot.looked == ["apple"]


def test_says_good_night_before_it_sleeps(stage: Stage) -> None:
    stage.hear("Good night, go to sleep.")
    assert "Good night" in stage.answer().text
    wait_until(lambda: bool(stage.robot.modes), 5.0, "manager/set_mode")
    assert stage.robot.modes == [("sleep", 2)]
    assert stage.robot.said == ["Good night!", "Sleep well."]


def test_new_words_break_the_old_answer_off(stage: Stage) -> None:
    stage.hear("Tell me something about the moon.")
    wait_until(lambda: len(stage.robot.said) == 1, 5.0, "the first sentence")
    stage.hear("What is your name?")
    stage.turns.wait(lambda turn: turn.role == "user" and "name" in turn.text)
    stage.chat.go_on.set()
    stage.turns.wait(lambda turn: turn.final and "Reachy" in turn.text)
    broken = stage.turns.wait(lambda turn: turn.final and turn.text.startswith("The moon"))
    assert "craters" not in broken.text
    assert stage.chat.closed.wait(5.0)


def test_a_worker_that_dies_once_is_not_noticed_twice_gives_an_apology(stage: Stage) -> None:
    stage.chat.dies = 1
    stage.chat.go_on.set()
    stage.hear("Tell me something about the moon.")
    assert "craters" in stage.answer().text
    stage.turns.clear()
    stage.chat.dies = 2
    stage.hear("Tell me something about the sun.")
    assert "cannot think" in stage.answer().text
    assert any("SIGKILL" in fault for fault in stage.node.faults())
    stage.turns.clear()
    stage.hear("Tell me something about the stars.")
    assert "craters" in stage.answer().text
    assert not stage.node.faults()


def test_chat_action_streams_and_can_be_cancelled(stage: Stage) -> None:
    client = ActionClient(stage.runner.probe, Chat, "dialogue/chat")
    assert client.wait_for_server(5.0)
    pieces: list[str] = []
    done = threading.Event()
    box: list[Any] = []

    def accepted(future: Any) -> None:
        box.append(future.result())
        box[0].get_result_async().add_done_callback(lambda f: (box.append(f.result()), done.set()))

    goal = Chat.Goal(text="Tell me something about the moon.")
    client.send_goal_async(goal, lambda f: pieces.append(f.feedback.delta)).add_done_callback(accepted)
    wait_until(lambda: bool(pieces), 5.0, "feedback")
    cancelled = threading.Event()
    box[0].cancel_goal_async().add_done_callback(lambda _: cancelled.set())
    assert cancelled.wait(5.0)
    stage.chat.go_on.set()
    assert done.wait(5.0)
    assert not box[1].result.ok
    assert "cancel" in box[1].result.message
    assert stage.robot.said == []


def test_reset_starts_a_new_conversation(stage: Stage) -> None:
    stage.chat.go_on.set()
    stage.hear("Tell me something about the moon.")
    stage.answer()
    assert stage.runner.call(Trigger, "dialogue/reset", Trigger.Request()).success
    stage.turns.clear()
    stage.hear("Tell me something about the sun.")
    stage.answer()
    assert [len(prompt) for prompt in stage.chat.prompts] == [2, 2]


def test_answers_again_after_a_second_activation(stage: Stage) -> None:
    assert stage.runner.deactivate()
    stage.hear("What is your name?")
    assert stage.runner.activate()
    stage.turns.clear()
    stage.hear("My name is Anna.")
    assert "Anna" in stage.answer().text
