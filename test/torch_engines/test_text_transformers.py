from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bbia_ros.emotion.reading import EMOTIONS, EmotionReading
from bbia_ros.emotion.text_transformers import KNOWN_LABELS, TransformersTextEmotion, map_labels, parse_labels
from bbia_ros.residency.catalog import resolve
from bbia_ros.residency.pretrained import PretrainedError

GO_EMOTIONS = [
    "admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire",
    "disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief",
    "joy", "love", "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness",
    "surprise", "neutral",
]  # fmt: skip


def test_the_labels_of_common_models_stand_for_emotions_of_ours() -> None:
    assert set(map_labels(GO_EMOTIONS, {}, "m")) >= {"happy", "sad", "angry", "curious", "proud", "neutral"}
    assert map_labels(["Joy", "NEGATIVE", "nostalgic"], {}, "m") == ["happy", "sad", "nostalgic"]
    assert set(KNOWN_LABELS.values()) <= set(EMOTIONS)


def test_labels_of_ones_own_are_mapped_and_others_refused_by_name() -> None:
    chosen = parse_labels(["LABEL_0=sad", " joy = excited"])
    assert map_labels(["LABEL_0", "joy"], chosen, "m") == ["sad", "excited"]
    with pytest.raises(PretrainedError, match=r"no emotion of the robot: LABEL_1; map them with words\.labels"):
        map_labels(["LABEL_0", "LABEL_1"], chosen, "m")
    with pytest.raises(ValueError, match="'joy' is no mapping"):
        parse_labels(["joy"])
    with pytest.raises(ValueError, match="mapped to 'glad', must be one of"):
        parse_labels(["joy=glad"])


@pytest.mark.heavy
def test_a_reading_is_whole_and_its_shares_add_up(make_classifier: Callable[..., Path]) -> None:
    for problem in ("single_label_classification", "multi_label_classification"):
        engine = TransformersTextEmotion(str(make_classifier(["joy", "love", "anger", "neutral"], problem)))
        found = engine.read("the moon is bright")
        assert set(found["scores"]) == {"happy", "angry", "neutral"}
        assert math.isclose(sum(found["scores"].values()), 1.0, rel_tol=1e-6)
        fields = ("label", "intensity", "valence", "arousal", "confidence", "scores")
        EmotionReading(*(found[name] for name in fields))  # checks the ranges
        assert found["label"] == max(found["scores"], key=found["scores"].get)
        assert found["stimulus"] == "unknown"
        assert engine.read("sad apple " * 200)["label"] in found["scores"]  # longer than the model reads
        with pytest.raises(ValueError, match="empty text"):
            engine.read("  ")


@pytest.mark.heavy
def test_shares_are_those_of_the_network(make_classifier: Callable[..., Path]) -> None:
    torch = pytest.importorskip("torch")
    from transformers import AutoTokenizer, BertForSequenceClassification

    folder = make_classifier(["sadness", "joy"])
    tokens = AutoTokenizer.from_pretrained(folder)("hello moon", return_tensors="pt")
    with torch.inference_mode():
        wanted = torch.softmax(BertForSequenceClassification.from_pretrained(folder).eval()(**tokens).logits[0], 0)
    found = TransformersTextEmotion(str(folder)).read("hello moon")["scores"]
    assert [found["sad"], found["happy"]] == pytest.approx(wanted.tolist(), abs=1e-5)


@pytest.mark.heavy
def test_models_that_do_not_classify_are_refused(
    make_classifier: Callable[..., Path], chat_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(PretrainedError, match="stand for no emotion of the robot: LABEL_0, LABEL_1"):
        TransformersTextEmotion(str(make_classifier(["LABEL_0", "LABEL_1"])))
    encoder = str(resolve("minilm-l6-v2", "text_emotion"))
    with pytest.raises(PretrainedError, match=r"lacks \d+ of the weights of a text classification model, classifier"):
        TransformersTextEmotion(encoder)
    with pytest.raises(PretrainedError, match="lacks 1 of the weights"):
        TransformersTextEmotion(str(chat_folder))
    shutil.copytree(make_classifier(["joy", "fear"]), tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(PretrainedError, match="cut cannot be loaded as a text classification model"):
        TransformersTextEmotion(str(tmp_path / "cut"))
