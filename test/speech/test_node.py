"""The speech node on a real graph, with fake models."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from rclpy.action import ActionClient

from bbia_ros.action import Say
from bbia_ros.msg import AudioChunk, AudioPlayback, DialogueTurn, SpeechActivity, Utterance
from bbia_ros.residency.errors import LoadFailed, WorkerDied
from bbia_ros.ros import qos
from bbia_ros.ros.testing import FakePool, NodeRunner, wait_until
from bbia_ros.speech.node import SpeechNode
from bbia_ros.speech.stt_whisper import Transcript

pytestmark = pytest.mark.heavy
RATE, CHUNK = 16_000, 320
SECOND = 1_000_000_000


class Vad:
    def probabilities(self, window: np.ndarray) -> list[float]:
        return [0.95 if np.abs(window.astype(int)).mean() > 500 else 0.02]

    def reset(self) -> None: ...


class Stt:
    def __init__(self) -> None:
        self.answers: list[str | Exception] = []
        self.seconds: list[float] = []

    def transcribe(self, audio: np.ndarray, words: bool = False) -> Transcript:
        self.seconds.append(len(audio) / RATE)
        answer = self.answers.pop(0) if self.answers else "hello robot"
        if isinstance(answer, Exception):
            raise answer
        return Transcript(answer, "en", 0.8, 0.0)


class Tts:
    def __init__(self) -> None:
        self.error: Exception | None = None
        self.seconds = 0.4

    def speak(self, text: str) -> tuple[int, np.ndarray]:
        if self.error:
            raise self.error
        return RATE, np.full(int(self.seconds * RATE), 3000, np.int16)


class Stage:
    """The node with fakes, a microphone to speak into and ears for everything it publishes."""

    def __init__(self, **parameters: Any) -> None:
        self.vad, self.stt, self.tts = Vad(), Stt(), Tts()
        self.pool = FakePool({"vad": self.vad, "stt": self.stt, "tts": self.tts})
        self.runner = NodeRunner(SpeechNode, pool=self.pool, parameters=parameters)
        self.heard = self.runner.collect(Utterance, "speech/heard", qos.EVENT)
        self.activity = self.runner.collect(SpeechActivity, "speech/activity", qos.STATE)
        self.speaker = self.runner.collect(AudioChunk, "audio/speaker", qos.AUDIO)
        self.sequence, self.stamp = 0, 100 * SECOND
        self.say = ActionClient(self.runner.probe, Say, "speech/say")

    def up(self) -> Stage:
        assert self.runner.configure()
        assert self.runner.activate()
        self.mic = self.runner.publisher(AudioChunk, "audio/mic", qos.AUDIO)
        self.playback = self.runner.publisher(AudioPlayback, "audio/playback", qos.EVENT)
        assert self.say.wait_for_server(30.0)
        return self

    @property
    def node(self) -> SpeechNode:
        node = self.runner.node
        assert isinstance(node, SpeechNode)
        return node

    def speak(self, seconds: float, level: int) -> None:
        """Chunks into audio/mic, as fast as the node takes them: their stamps tell the time."""
        for _ in range(round(seconds * RATE / CHUNK)):
            # In step with the node: a writer of depth 50 drops what it cannot deliver in time.
            wait_until(lambda: self.sequence - self.taken < 20, 30.0, "the node to take the audio")
            self.send(np.full(CHUNK, level, np.int16))

    @property
    def taken(self) -> int:
        """Sequence number that the node expects next."""
        return self.node._microphone._next_sequence or 0

    def send(self, samples: np.ndarray, rate: int = RATE, channels: int = 1) -> None:
        message = AudioChunk(sequence=self.sequence, sample_rate=rate, channels=channels)
        message.samples = samples.astype(np.int16).tolist()
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(self.stamp, SECOND)
        self.mic.publish(message)
        self.sequence += 1
        self.stamp += len(samples) // max(1, channels) * SECOND // RATE

    def goal(self, text: str, **fields: Any) -> Any:
        """Sends a goal; the future of its result."""
        accepted = self.say.send_goal_async(Say.Goal(text=text, **fields))
        wait_until(accepted.done, 30.0, "the goal to be accepted")
        self.handle = accepted.result()
        return self.handle.get_result_async()

    def played(self, name: str, position: float, done: bool = True, flushed: bool = False) -> None:
        self.playback.publish(AudioPlayback(utterance_id=name, position_s=position, done=done, flushed=flushed))


def result(future: Any) -> Say.Result:
    wait_until(future.done, 30.0, "the goal's result")
    return future.result().result


@pytest.fixture
def stages() -> Iterator[list[Stage]]:
    made: list[Stage] = []
    yield made
    for stage in made:
        stage.runner.close()


@pytest.fixture
def stage(stages: list[Stage]) -> Stage:
    stages.append(Stage())
    return stages[0].up()


def test_a_line_is_heard_with_its_time(stage: Stage) -> None:
    stage.speak(1.0, 0)
    stage.speak(1.6, 3000)
    stage.speak(1.0, 0)
    final = stage.heard.wait(lambda m: m.final)
    assert (final.text, final.language) == ("hello robot", "en")
    assert final.confidence == pytest.approx(0.8)
    start = final.start.sec + final.start.nanosec / 1e9
    end = final.end.sec + final.end.nanosec / 1e9
    assert start == pytest.approx(101.0, abs=0.04)
    assert end == pytest.approx(102.6, abs=0.04)
    assert len(stage.stt.seconds) == 2  # the first words, and the speculation that came true
    partial = stage.heard.wait(lambda m: not m.final)
    assert partial.id == final.id
    stage.activity.wait(lambda m: m.user_speaking)
    stage.activity.wait(lambda m: not m.user_speaking)
    assert stage.pool.leases["stt:whisper-tiny"].prefetched
    assert stage.pool.leases["tts:piper-joe"].prefetched, "who is heard is likely to be answered"


def test_the_first_words_of_an_answer_that_will_be_spoken_load_the_voice(stage: Stage) -> None:
    turns = stage.runner.publisher(DialogueTurn, "dialogue/turns", qos.EVENT)
    voice, wishes = stage.pool.leases["tts:piper-joe"], list[str]()
    preload = voice.preload
    voice.preload = lambda **how: (wishes.append("tts"), preload(**how))[1]  # type: ignore[method-assign]
    turns.publish(DialogueTurn(id="1", role="user", text="Hello?", final=True))
    turns.publish(DialogueTurn(id="1", role="robot", text="Written", final=False))
    turns.publish(DialogueTurn(id="1", role="robot", text="Written only.", final=True))
    turns.publish(DialogueTurn(id="2", role="robot", text="Once", final=False, utterance_id="2-1"))
    wait_until(lambda: voice.preloaded, 10.0, "the voice")
    assert wishes == ["tts"], "not for those that nobody will hear"


def test_a_text_is_spoken_with_feedback(stage: Stage) -> None:
    future = stage.goal("Hello there.", utterance_id="u1")
    last = stage.speaker.wait(lambda m: m.last)
    assert stage.activity.wait(lambda m: m.robot_speaking).utterance_id == "u1"
    stage.played("u1", 0.4)
    done = result(future)
    assert (done.ok, done.message, done.utterance_id, done.interrupted) == (True, "", "u1", False)
    assert done.duration_s == pytest.approx(0.4)
    assert last.header.frame_id == "loudspeaker"
    assert sum(len(m.samples) for m in stage.speaker.messages) == 0.4 * RATE
    stage.activity.wait(lambda m: not m.robot_speaking and not m.user_speaking)


def test_the_robot_falls_silent_when_someone_speaks(stage: Stage) -> None:
    stage.tts.seconds = 30.0
    first, second = stage.goal("A long story.", utterance_id="u1"), stage.goal("And more.", utterance_id="u2")
    stage.activity.wait(lambda m: m.robot_speaking)
    stage.speak(0.5, 3000)
    flush = stage.speaker.wait(lambda m: m.flush)
    assert flush.utterance_id == "u1"
    assert result(first).interrupted
    assert result(second).interrupted
    assert stage.speaker.messages[-1].flush


def test_without_barge_in_the_robot_goes_on(stages: list[Stage]) -> None:
    stages.append(Stage(barge_in=False).up())
    stage = stages[0]
    stage.tts.seconds = 30.0
    stage.goal("A long story.", utterance_id="u1")
    stage.activity.wait(lambda m: m.robot_speaking)
    stage.speak(1.0, 3000)
    stage.activity.wait(lambda m: m.user_speaking and m.robot_speaking)
    assert not any(m.flush for m in stage.speaker.messages)


def test_a_cancelled_goal_falls_silent(stage: Stage) -> None:
    stage.tts.seconds = 30.0
    future = stage.goal("A long story.", utterance_id="u1")
    stage.activity.wait(lambda m: m.robot_speaking)
    stage.handle.cancel_goal_async()
    stage.speaker.wait(lambda m: m.flush)
    assert result(future).interrupted
    assert future.result().status == 5  # canceled


def test_deactivation_falls_silent_and_ends_goals_and_threads(stage: Stage) -> None:
    before = {t for t in threading.enumerate() if t.name.startswith("speech.")}
    assert len(before) == 4
    stage.tts.seconds = 30.0
    future = stage.goal("A long story.")
    stage.activity.wait(lambda m: m.robot_speaking)
    assert stage.runner.deactivate()
    stage.speaker.wait(lambda m: m.flush)
    assert result(future).interrupted
    assert not any(t.is_alive() for t in before)
    assert all(lease.released for lease in stage.pool.leases.values())
    refused = result(stage.goal("Anybody there?"))
    assert (refused.ok, refused.message) == (False, "speech/say: the node is not active")
    assert stage.runner.activate()
    again = stage.goal("Back again.", utterance_id="u9")
    stage.played("u9", 0.0, done=False)
    stage.speaker.wait(lambda m: m.utterance_id == "u9")
    stage.handle.cancel_goal_async()
    assert result(again).interrupted


def test_bad_chunks_are_named_and_the_rest_is_heard(stage: Stage) -> None:
    stage.send(np.zeros(0))
    stage.send(np.zeros(321), channels=2)
    stage.send(np.zeros(CHUNK), rate=44_100)
    wait_until(lambda: any("44100 Hz" in fault for fault in stage.node.faults()), 30.0, "the fault")
    stage.speak(1.0, 3000)
    stage.speak(1.0, 0)
    assert stage.heard.wait(lambda m: m.final).text == "hello robot"
    assert stage.node.faults() == []
    counts = stage.node.figures.summary()
    assert (counts["refused audio empty"], counts["refused audio rate"]) == ("1", "1")


def test_clipping_is_a_fault_but_not_deafness(stage: Stage) -> None:
    stage.speak(1.0, 32_767)
    wait_until(lambda: any("clipped" in fault for fault in stage.node.faults()), 30.0, "the fault")
    stage.speak(1.0, 0)
    assert stage.heard.wait(lambda m: m.final)


def test_a_silent_microphone_is_a_fault_until_it_comes_back(stage: Stage) -> None:
    wait_until(lambda: any("nothing has come on audio/mic" in f for f in stage.node.faults()), 30.0, "the fault")
    stage.speak(0.1, 0)
    wait_until(lambda: stage.node.faults() == [], 30.0, "the end of the fault")


def test_what_was_said_survives_the_death_of_its_model(stage: Stage) -> None:
    stage.stt.answers = [WorkerDied("the worker of stt died"), WorkerDied("the worker of stt died"), "still here"]
    stage.speak(0.8, 3000)
    stage.speak(1.0, 0)
    assert stage.heard.wait(lambda m: m.final).text == "still here"
    wait_until(lambda: stage.node.faults() == [], 30.0, "the end of the fault")


def test_a_voice_that_cannot_be_loaded_is_one_sentence(stage: Stage) -> None:
    stage.tts.error = LoadFailed("the voice is truncated")
    answer = result(stage.goal("Hello."))
    assert (answer.ok, answer.message) == (False, "the voice failed: the voice is truncated")
    wait_until(lambda: stage.node.faults() == ["tts: the voice is truncated"], 30.0, "the fault")
    assert result(stage.goal("...")).message == "speech/say: the text holds nothing that can be spoken"
    assert "speaks 'en', not 'fr'" in result(stage.goal("Bonjour.", language="fr")).message


def test_without_the_voice_detector_loudness_decides(stages: list[Stage]) -> None:
    stages.append(Stage(vad_enabled=False).up())
    stage = stages[0]
    assert not any(name.startswith("vad") for name in stage.pool.leases)
    stage.speak(1.0, 3)
    stage.speak(1.0, 3000)
    stage.speak(1.0, 3)
    assert stage.heard.wait(lambda m: m.final).text == "hello robot"


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"stt.model": "no-such"}, "no model 'no-such' for stt"),
        ({"tts.engine": "choir"}, "allowed is one of piper, espeak"),
        ({"turns.speculate_s": 0.9}, "longer than turns.end_s"),
        ({"turns.stop_probability": 0.8}, "a voice would end before it begins"),
    ],
)
def test_a_wrong_parameter_fails_configure_with_one_sentence(
    stages: list[Stage], parameters: dict[str, Any], sentence: str
) -> None:
    stages.append(Stage(**parameters))
    assert not stages[0].runner.configure()
    assert any(sentence in fault for fault in stages[0].node.faults())
