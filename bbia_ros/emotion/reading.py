"""What a reading of a feeling is: the labels, their place on the valence-arousal plane, the reading itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

EXPRESSED: tuple[str, ...] = (
    "neutral",
    "happy",
    "sad",
    "angry",
    "curious",
    "excited",
    "surprised",
    "fearful",
    "confused",
    "determined",
    "nostalgic",
    "proud",
    "calm",
)
"""Emotions that the robot can show."""

RECOGNISED: tuple[str, ...] = (
    "happy",
    "sad",
    "angry",
    "surprised",
    "fearful",
    "disgusted",
    "neutral",
    "excited",
    "calm",
    "confused",
)
"""Emotions that the robot reads in a person, in the order in which scores are published."""

EMOTIONS: tuple[str, ...] = (*EXPRESSED, *(label for label in RECOGNISED if label not in EXPRESSED))
"""Every label there is: shown, read or both."""

CIRCUMPLEX: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "neutral": (0.0, 0.0),
        "happy": (0.8, 0.5),
        "sad": (-0.6, -0.3),
        "angry": (-0.5, 0.6),
        "curious": (0.2, 0.6),
        "excited": (0.6, 0.8),
        "surprised": (0.4, 0.7),
        "fearful": (-0.6, 0.6),
        "disgusted": (-0.6, 0.4),
        "confused": (-0.5, 0.3),
        "determined": (0.4, 0.5),
        "nostalgic": (0.1, -0.3),
        "proud": (0.8, 0.4),
        "calm": (0.6, -0.5),
    }
)
"""(valence, arousal) of each label, both in [-1, 1].

After the pleasure and arousal ratings of Russell and Mehrabian, "Evidence for a three-factor theory of emotions",
J. Research in Personality 11, 1977, rounded to 0.1; calm stands where their "relaxed" does. neutral is the origin.
determined and nostalgic are not rated there and are placed by judgement.
"""


@dataclass(frozen=True)
class EmotionReading:
    """A feeling that was read from a face or from words, or a fusion of such readings.

    Attributes:
        label: one of EMOTIONS.
        intensity: [0, 1] how strong the feeling is.
        valence: [-1, 1] unpleasant to pleasant.
        arousal: [-1, 1] calm to excited.
        confidence: [0, 1] how far the reading is to be trusted.
        scores: share of each label considered; each in [0, 1], together 1.
    """

    label: str
    intensity: float
    valence: float
    arousal: float
    confidence: float
    scores: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.label not in EMOTIONS:
            raise ValueError(f"unknown emotion {self.label!r}: must be one of {', '.join(EMOTIONS)}")
        for name, low in (("intensity", 0.0), ("valence", -1.0), ("arousal", -1.0), ("confidence", 0.0)):
            value = getattr(self, name)
            if not low <= value <= 1.0:
                raise ValueError(f"{name} is {value}: must lie in [{low:g}, 1]")
        for label, score in self.scores.items():
            if label not in EMOTIONS or not 0.0 <= score <= 1.0:
                raise ValueError(f"score {label!r}: {score} is not a known emotion with a share in [0, 1]")
        if self.scores and not math.isclose(sum(self.scores.values()), 1.0, abs_tol=1e-3):
            raise ValueError(f"scores sum to {sum(self.scores.values()):.4f}, not to 1")


def neutral(confidence: float = 0.0) -> EmotionReading:
    """A reading of nothing in particular.

    Args:
        confidence: [0, 1] how sure it is that there is nothing; 0 where nothing could be read at all.
    """
    return EmotionReading("neutral", 0.0, 0.0, 0.0, confidence, {"neutral": 1.0})


def place(scores: Mapping[str, float]) -> tuple[float, float]:
    """Valence and arousal of a mix of labels: the mean of their places on the CIRCUMPLEX, weighted by share.

    Args:
        scores: share of each label; any scale, not negative.

    Returns:
        (valence, arousal), both in [-1, 1]; (0, 0) for an empty mix.
    """
    total = sum(scores.values())
    if total <= 0.0:
        return 0.0, 0.0
    valence = sum(CIRCUMPLEX[label][0] * share for label, share in scores.items()) / total
    arousal = sum(CIRCUMPLEX[label][1] * share for label, share in scores.items()) / total
    return valence, arousal


def reading_of(scores: Mapping[str, float]) -> EmotionReading:
    """The reading that shares of labels make.

    The winner is the label; the intensity is the share that is not neutral; the confidence is the winner's share.

    Args:
        scores: share of each label considered, together 1.
    """
    label = max(scores, key=scores.__getitem__)
    valence, arousal = place(scores)
    intensity = 0.0 if label == "neutral" else 1.0 - scores.get("neutral", 0.0)
    return EmotionReading(label, min(1.0, intensity), valence, arousal, min(1.0, scores[label]), scores)
