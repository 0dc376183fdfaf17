"""Microphone to text and text to loudspeaker with the real models in their workers, on a real graph, in real time."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rclpy.action import ActionClient

from bbia_ros.action import Say
from bbia_ros.msg import AudioChunk, SpeechActivity, Utterance
from bbia_ros.ros import qos
from bbia_ros.ros.testing import NodeRunner, wait_until
from bbia_ros.speech.lines import read_wav, synthesize_lines
from bbia_ros.speech.node import SpeechNode
from bbia_ros.speech.testing import RATE, Room
from bbia_ros.speech.vocabulary import plain_words

pytestmark = pytest.mark.heavy
QUESTION, ORDER = "Hello robot, what do you see on the table?", "Please look at the apple."


class Scene:
    """A running speech node with its real models, and the room around it."""

    def __init__(self, lines: list[Path]) -> None:
        self.question, self.order = (read_wav(path) for path in lines)
        self.runner = NodeRunner(SpeechNode)
        self.heard = self.runner.collect(Utterance, "speech/heard", qos.EVENT)
        self.activity = self.runner.collect(SpeechActivity, "speech/activity", qos.STATE)
        self.sent = self.runner.collect(AudioChunk, "audio/speaker", qos.AUDIO)
        self.say = ActionClient(self.runner.probe, Say, "speech/say")
        assert self.runner.configure()
        assert self.runner.activate()
        self.room = Room(self.runner)
        assert self.say.wait_for_server(30.0)

    def goal(self, text: str) -> Any:
        accepted = self.say.send_goal_async(Say.Goal(text=text))
        wait_until(accepted.done, 60.0, "the goal to be accepted")
        return accepted.result().get_result_async()

    def worker(self, task: str) -> int:
        """Pid of the worker of a model, 0 when it has none."""
        return next((info.pid or 0 for info in self.runner.process.models() if info.task == task), 0)

    def state(self, task: str) -> str:
        return next((str(info.state) for info in self.runner.process.models() if info.task == task), "ABSENT")

    def close(self) -> None:
        self.room.close()
        self.runner.close()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(synthesize_lines([QUESTION, ORDER], tmp_path_factory.mktemp("lines")))
    yield made
    made.close()


def final(scene: Scene, timeout_s: float = 60.0) -> Utterance:
    return scene.heard.wait(lambda m: m.final, timeout_s)


def test_models_load_when_needed_and_a_line_is_understood(scene: Scene) -> None:
    wait_until(lambda: scene.state("vad") == "IDLE", 60.0, "the voice detector at the first audio")
    assert (scene.state("stt"), scene.state("tts")) == ("ABSENT", "ABSENT")
    scene.room.say(scene.question)
    heard = final(scene)
    assert plain_words(heard.text) == plain_words(QUESTION)
    spoken = (heard.end.sec - heard.start.sec) + (heard.end.nanosec - heard.start.nanosec) / 1e9
    assert abs(spoken - len(scene.question) / RATE) < 0.5
    wait_until(lambda: scene.state("tts") == "IDLE", 60.0, "the voice, loaded because someone was heard")


def test_the_robot_speaks_and_is_cut_off_by_the_visitor(scene: Scene) -> None:
    scene.heard.clear()
    short = scene.goal("I see an apple.")
    wait_until(short.done, 60.0, "the end of a short utterance")
    assert short.result().result.ok
    long = scene.goal("I see an apple, and a croissant, and a duck. And then there is so much more to tell.")
    scene.activity.wait(lambda m: m.robot_speaking and not m.user_speaking, 60.0)
    scene.room.say(scene.order)
    wait_until(long.done, 60.0, "the end of the interrupted utterance")
    result = long.result().result
    assert result.interrupted
    assert result.spoken_s < result.duration_s
    assert scene.sent.messages[-1].flush
    assert plain_words(final(scene).text) == plain_words(ORDER)


def test_nothing_said_is_lost_when_the_transcriber_is_killed(scene: Scene) -> None:
    scene.heard.clear()
    pid = scene.worker("stt")
    assert pid
    os.kill(pid, signal.SIGSTOP)  # so that it is surely at work when it is killed
    scene.room.say(scene.question)
    wait_until(lambda: scene.state("stt") == "BUSY", 60.0, "the transcription")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: any(f.startswith("stt") for f in scene.runner.node.faults()), 60.0, "the fault")
    assert plain_words(final(scene).text) == plain_words(QUESTION)
    assert scene.worker("stt") != pid
    wait_until(lambda: scene.runner.node.faults() == [], 60.0, "the end of the fault")


def test_the_robot_finishes_its_sentence_when_its_voice_is_killed(scene: Scene) -> None:
    pid = scene.worker("tts")
    assert pid
    os.kill(pid, signal.SIGSTOP)
    spoken = scene.goal("I am still here.")
    wait_until(lambda: scene.state("tts") == "BUSY", 60.0, "the synthesis")
    os.kill(pid, signal.SIGKILL)
    wait_until(spoken.done, 60.0, "the utterance")
    assert spoken.result().result.ok
    assert scene.worker("tts") != pid


def test_deactivation_leaves_no_worker(scene: Scene) -> None:
    pids = [scene.worker(task) for task in ("vad", "stt", "tts")]
    assert all(pids)
    assert scene.runner.deactivate()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
