"""The emotion node on a real graph, with a fake text model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bbia_ros.emotion.node import EmotionNode
from bbia_ros.msg import DialogueTurn, Emotion, Face, FaceArray, Utterance
from bbia_ros.perception.blendshapes import INDEX
from bbia_ros.ros import qos
from bbia_ros.ros.testing import FakePool, NodeRunner, wait_until
from bbia_ros.srv import Express

pytestmark = pytest.mark.heavy


class FakeText:
    def read(self, text: str) -> dict[str, Any]:
        label = "sad" if "sad" in text else "happy" if "wonderful" in text else "neutral"
        stimulus = "compliment" if label == "happy" else "unknown"
        scores = {"happy": 0.05, "sad": 0.05, "neutral": 0.05, label: 0.9}
        return {
            "label": label,
            "intensity": 0.0 if label == "neutral" else 0.9,
            "valence": 0.7,
            "arousal": 0.3,
            "confidence": 0.9,
            "scores": scores,
            "stimulus": stimulus,
            "stimulus_confidence": 0.9,
        }


class Stage:
    def __init__(self, runner: NodeRunner) -> None:
        self.runner = runner
        assert runner.configure()
        self.user = runner.collect(Emotion, "emotion/user", qos.EVENT)
        self.robot = runner.collect(Emotion, "emotion/robot", qos.STATE)
        node: Any = runner.node
        wait_until(lambda: node._user.subscribers and node._robot.subscribers, 5.0, "subscriptions")
        assert runner.activate()
        self.heard = runner.publisher(Utterance, "speech/heard", qos.EVENT)
        self.faces = runner.publisher(FaceArray, "perception/faces", qos.EVENT)

    def hear(self, text: str) -> None:
        self.heard.publish(Utterance(id="u", text=text, final=True, confidence=0.9))


@pytest.fixture
def stage() -> Iterator[Stage]:
    with NodeRunner(EmotionNode, pool=FakePool({"text_emotion": FakeText()})) as runner:
        yield Stage(runner)
        runner.deactivate()


def smile() -> Face:
    shapes = [0.0] * 52
    for name in ("mouthSmileLeft", "mouthSmileRight"):
        shapes[INDEX[name]] = 0.9
    return Face(track_id=3, score=0.9, blendshapes=shapes)


def test_is_sad_with_the_sad_and_happy_about_a_compliment(stage: Stage) -> None:
    stage.robot.wait(lambda mood: mood.label == "neutral")
    stage.hear("I am so sad, my old dog died.")
    assert stage.user.wait(lambda reading: reading.source == "text").label == "sad"
    stage.robot.wait(lambda mood: mood.label == "sad" and mood.valence < 0)
    stage.hear("You are wonderful, thank you!")
    mood = stage.robot.wait(lambda mood: mood.label == "happy")
    assert mood.valence > 0.3


def test_reads_face_and_words_apart_and_together(stage: Stage) -> None:
    for _ in range(3):
        stage.faces.publish(FaceArray(faces=[smile()]))
        face = stage.user.wait(lambda reading: reading.source == "face")
    assert (face.label, face.face_id) == ("happy", 3)
    stage.hear("I am so sad.")
    assert stage.user.wait(lambda reading: reading.source == "text").label == "sad"
    fused = stage.user.wait(lambda reading: reading.source == "fused" and reading.label == "sad")
    assert sum(fused.scores) == pytest.approx(1.0, abs=1e-3)
    assert fused.scores[fused.labels.index("happy")] > 0.1


def test_typed_words_count_too_and_spoken_ones_only_once(stage: Stage) -> None:
    turns = stage.runner.publisher(DialogueTurn, "dialogue/turns", qos.EVENT)
    turns.publish(DialogueTurn(role="user", text="You are wonderful", final=True, utterance_id="u1"))
    turns.publish(DialogueTurn(role="robot", text="I am sad", final=True))
    turns.publish(DialogueTurn(role="user", text="I am sad", final=True))
    stage.robot.wait(lambda mood: mood.label == "sad")
    assert [reading.label for reading in stage.user.messages if reading.source == "text"] == ["sad"]


def test_express_is_checked_and_shown(stage: Stage) -> None:
    response = stage.runner.call(Express, "emotion/express", Express.Request(label="jealous", intensity=0.5))
    assert not response.ok
    assert "jealous" in response.message
    request = Express.Request(label="proud", intensity=float("nan"))
    assert not stage.runner.call(Express, "emotion/express", request).ok
    request = Express.Request(label="proud", intensity=0.8, duration_s=30.0)
    assert stage.runner.call(Express, "emotion/express", request).ok
    assert stage.robot.wait(lambda mood: mood.label == "proud").intensity == pytest.approx(0.8, abs=0.01)


def test_a_face_with_broken_numbers_is_refused_and_the_next_one_read(stage: Stage) -> None:
    stage.faces.publish(FaceArray(faces=[Face(blendshapes=[float("nan")] * 52)]))
    node: Any = stage.runner.node
    stage.faces.publish(FaceArray(faces=[Face(blendshapes=[0.5] * 7)]))
    stage.faces.publish(FaceArray(faces=[smile()]))
    try:
        stage.user.wait(lambda reading: reading.source == "face", 1.0)
    except TimeoutError:  # the reader looks five times a second at most: the last face may have come too soon
        stage.faces.publish(FaceArray(faces=[smile()]))
    assert stage.user.wait(lambda reading: reading.source == "face").label == "happy"
    assert not node.faults()
