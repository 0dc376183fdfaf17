"""Text emotion with transformers on torch: any text classification model whose labels are feelings.

Runs in a worker process; torch and transformers are imported by the constructor. The model's own labels (those of
GoEmotions, of Ekman's six, of sentiment models, or others by the argument `labels`) are mapped to the robot's emotions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from bbia_ros.emotion.reading import EMOTIONS, reading_of
from bbia_ros.residency.pretrained import PretrainedError, check_folder, load_pretrained
from bbia_ros.residency.torch_device import give_back, open_torch

WHAT = "a text classification model"
LONGEST = 128
"""Tokens read of a text, as by the default engine."""

KNOWN_LABELS: Mapping[str, str] = MappingProxyType(
    {
        **{label: label for label in EMOTIONS},
        "admiration": "happy",
        "amusement": "happy",
        "anger": "angry",
        "annoyance": "angry",
        "anticipation": "curious",
        "approval": "happy",
        "caring": "calm",
        "confusion": "confused",
        "curiosity": "curious",
        "desire": "excited",
        "disappointment": "sad",
        "disapproval": "angry",
        "disgust": "disgusted",
        "embarrassment": "sad",
        "excitement": "excited",
        "fear": "fearful",
        "gratitude": "happy",
        "grief": "sad",
        "joy": "happy",
        "love": "happy",
        "negative": "sad",
        "nervousness": "fearful",
        "nostalgia": "nostalgic",
        "optimism": "happy",
        "pessimism": "sad",
        "positive": "happy",
        "pride": "proud",
        "realization": "surprised",
        "relief": "calm",
        "remorse": "sad",
        "sadness": "sad",
        "surprise": "surprised",
        "trust": "calm",
    }
)
"""Labels of common models, in lower case -> the robot's emotion. GoEmotions (Demszky et al. 2020), Ekman's six basic
emotions, SemEval 2018 and three-way sentiment; which of ours stands nearest is a judgement."""


class TransformersTextEmotion:
    """Reads the feeling in a text. Which stimulus a text is to the robot these models do not tell: "unknown".

    Args:
        model: Folder of the model: config.json, *.safetensors, tokenizer.
        labels: "their label=our emotion" for labels that KNOWN_LABELS does not hold, or holds otherwise.
        threads: Threads of torch on the CPU.
        device: "cpu", "cuda", or "auto" (cuda where torch sees a GPU).

    Raises:
        PretrainedError: The folder holds no such model, or it has labels that are mapped to no emotion.
        TorchUnusable: torch or transformers is missing or broken, or there is no such device.
    """

    def __init__(self, model: str, labels: Sequence[str] = (), threads: int = 1, device: str = "cpu") -> None:
        chosen = parse_labels(labels)
        folder = check_folder(model, WHAT)
        self._torch, self._device = open_torch(device, threads)
        kind = "AutoModelForSequenceClassification"
        network, self._tokenizer = load_pretrained(folder, kind, self._torch.float32, WHAT)
        names = network.config.id2label
        if len(names) != network.config.num_labels or len(names) < 2:
            raise PretrainedError(f"{folder} has {network.config.num_labels} classes and names {len(names)}")
        self._emotions = map_labels([names[index] for index in range(len(names))], chosen, str(folder))
        self._several = network.config.problem_type == "multi_label_classification"
        self._longest = min(LONGEST, getattr(network.config, "max_position_embeddings", LONGEST))
        self._model: Any = network.to(self._device)

    def read(self, text: str) -> dict[str, Any]:
        """Reads one text; result and errors are those of `MiniLmTextEmotion.read`."""
        if not text.strip():
            raise ValueError("There is no feeling in an empty text.")
        torch = self._torch
        batch = self._tokenizer(text, truncation=True, max_length=self._longest, return_tensors="pt")
        with torch.inference_mode():
            logits = self._model(**batch.to(self._device)).logits[0].float()
            shares = (torch.sigmoid(logits) if self._several else torch.softmax(logits, dim=0)).tolist()
        scores: dict[str, float] = {}
        for emotion, share in zip(self._emotions, shares, strict=True):
            scores[emotion] = scores.get(emotion, 0.0) + share
        total = sum(scores.values())
        reading = reading_of({emotion: share / total for emotion, share in scores.items()})
        return {
            "label": reading.label,
            "intensity": reading.intensity,
            "valence": reading.valence,
            "arousal": reading.arousal,
            "confidence": reading.confidence,
            "scores": dict(reading.scores),
            "stimulus": "unknown",
            "stimulus_confidence": 0.0,
        }

    def close(self) -> None:
        """Frees the model and, on a GPU, its memory."""
        self._model = None
        give_back(self._device)


def parse_labels(pairs: Sequence[str]) -> dict[str, str]:
    """Pairs like "joy=happy", their label and our emotion, as a mapping, labels in lower case.

    Raises:
        ValueError: not of that form, or not one of our emotions.
    """
    mapping = {}
    for pair in pairs:
        label, equals, emotion = (part.strip() for part in pair.partition("="))
        if not (label and equals):
            raise ValueError(f"'{pair}' is no mapping of a label: write label=emotion, for instance joy=happy")
        if emotion not in EMOTIONS:
            raise ValueError(f"label '{label}' is mapped to '{emotion}', must be one of {', '.join(EMOTIONS)}")
        mapping[label.lower()] = emotion
    return mapping


def map_labels(labels: Sequence[str], chosen: Mapping[str, str], model: str) -> list[str]:
    """Our emotion for each of the model's labels.

    Raises:
        PretrainedError: labels that nothing maps; all are named.
    """
    mapping = {**KNOWN_LABELS, **chosen}
    unknown = [label for label in labels if label.lower() not in mapping]
    if unknown:
        raise PretrainedError(
            f"{model} has labels that stand for no emotion of the robot: {', '.join(unknown[:8])};"
            f" map them with words.labels, for instance '{unknown[0]}=happy'"
        )
    return [mapping[label.lower()] for label in labels]
