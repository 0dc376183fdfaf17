"""One feeling from a face and from words that may disagree, by how sure and how fresh each is.

The fused scores are the mean of the sources' scores, weighted by

    weight = trust of the source * confidence of the reading * 0.5 ** (age / half-life of the source)

Words say more than a face that smiles for a photograph, and they last: what somebody told us counts for seconds, an
expression for the moment. Neutral words ("look at the apple") tell little about a feeling and count a quarter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bbia_ros.emotion.reading import EmotionReading, place

NEUTRAL_WORDS = 0.25
"""Share of its weight that a neutral reading of words keeps."""

LEAST_WEIGHT = 0.02
"""A reading with less weight is forgotten."""


@dataclass(frozen=True)
class Source:
    """How a source of readings counts.

    Attributes:
        trust: Weight of a fresh reading with confidence 1.
        half_life_s: Age at which a reading counts half [s].
    """

    trust: float
    half_life_s: float


SOURCES: Mapping[str, Source] = MappingProxyType({"face": Source(0.5, 1.0), "text": Source(1.0, 6.0)})


class EmotionFusion:
    """Keeps the newest reading of each source and mixes them. Times are of a monotonic clock [s].

    Args:
        sources: How each source counts, by name.
    """

    def __init__(self, sources: Mapping[str, Source] = SOURCES) -> None:
        self._sources = dict(sources)
        self._newest: dict[str, tuple[EmotionReading, float]] = {}

    def take(self, source: str, reading: EmotionReading, now: float) -> None:
        """Takes a reading; KeyError for a source that is not known."""
        if source not in self._sources:
            raise KeyError(f"unknown source of emotion {source!r}: must be one of {', '.join(self._sources)}")
        self._newest[source] = (reading, now)

    def forget(self, source: str) -> None:
        """Drops what the source said, for instance when the face is gone."""
        self._newest.pop(source, None)

    def weight(self, source: str, now: float) -> float:
        """What the newest reading of a source counts at this moment; 0 if there is none."""
        if source not in self._newest:
            return 0.0
        reading, when = self._newest[source]
        settings = self._sources[source]
        weight = settings.trust * reading.confidence * 0.5 ** (max(0.0, now - when) / settings.half_life_s)
        if source == "text" and reading.label == "neutral":
            weight *= NEUTRAL_WORDS
        return weight if weight >= LEAST_WEIGHT else 0.0

    def read(self, now: float) -> EmotionReading | None:
        """The fused reading, or None when nothing fresh is known.

        Its confidence is the winner's share, scaled down when all the weights together stay below 1.
        """
        weights = {source: weight for source in self._newest if (weight := self.weight(source, now)) > 0.0}
        total = sum(weights.values())
        if not weights:
            return None
        scores: dict[str, float] = {}
        intensity = 0.0
        for source, weight in weights.items():
            reading = self._newest[source][0]
            shares = reading.scores or {reading.label: 1.0}
            for label, share in shares.items():
                scores[label] = scores.get(label, 0.0) + share * weight / total
        label = max(scores, key=scores.__getitem__)
        for source, weight in weights.items():
            reading = self._newest[source][0]
            if reading.label == label:
                intensity = max(intensity, reading.intensity * weight / total)
        if label != "neutral" and intensity == 0.0:
            intensity = scores[label]  # no source named it, but together they do
        whole = sum(scores.values())
        scores = {name: min(1.0, share / whole) for name, share in scores.items()}
        valence, arousal = place(scores)
        return EmotionReading(label, intensity, valence, arousal, min(1.0, scores[label] * min(1.0, total)), scores)
