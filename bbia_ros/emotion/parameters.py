"""Parameters of the emotion node."""

from __future__ import annotations

from dataclasses import dataclass

from bbia_ros.ros.models import ModelParameters, model_params
from bbia_ros.ros.parameters import nested, param


@dataclass(frozen=True)
class FaceParameters:
    """Reading faces."""

    enabled: bool = param(True, "read feelings from faces")
    rate_hz: float = param(5.0, "faces are read at most this often [Hz]", minimum=0.1, maximum=30.0)
    window: int = param(5, "readings that are smoothed into one", minimum=1, maximum=50)
    trust: float = param(0.5, "weight of a face beside words in the fusion", minimum=0.0, maximum=1.0)
    half_life_s: float = param(1.0, "age at which a face counts half in the fusion [s]", minimum=0.1, maximum=60.0)


@dataclass(frozen=True)
class WordsParameters:
    """Reading words."""

    head: str = param("", "classifiers (.npz); empty: those that ship with the package", read_only=True)
    labels: tuple[str, ...] = param(
        ("joy=happy",), "for the engine transformers: label of the model=emotion, beside those it knows", read_only=True
    )
    minimum_confidence: float = param(0.4, "readings less certain than this move nothing", minimum=0.0, maximum=1.0)
    stimulus_confidence: float = param(0.6, "stimuli less certain than this move nothing", minimum=0.0, maximum=1.0)
    trust: float = param(1.0, "weight of words in the fusion", minimum=0.0, maximum=1.0)
    half_life_s: float = param(6.0, "age at which words count half in the fusion [s]", minimum=0.1, maximum=600.0)
    queue: int = param(8, "texts that may wait; the oldest is dropped", minimum=1, maximum=100)


@dataclass(frozen=True)
class MoodParameters:
    """The robot's own mood."""

    decay_s: float = param(20.0, "time in which a feeling fades to a third [s]", minimum=0.5, maximum=3600.0)
    enter: float = param(0.25, "strength from which a feeling becomes the mood", minimum=0.01, maximum=1.0)
    leave: float = param(0.12, "strength below which the mood is over", minimum=0.0, maximum=1.0)
    margin: float = param(0.08, "lead that another feeling needs to take over", minimum=0.0, maximum=1.0)
    contagion: float = param(0.45, "how far the person's face moves the mood; 0: not at all", minimum=0.0, maximum=1.0)
    step: float = param(0.1, "change of intensity that is published", minimum=0.01, maximum=1.0)


@dataclass(frozen=True)
class EmotionParameters:
    """Parameters of the emotion node."""

    text: ModelParameters = model_params(
        engine="minilm", model="minilm-l6-v2", variants=("minilm-l6-v2",), declared_mb=110.0, threads=1
    )
    words: WordsParameters = nested(WordsParameters)
    face: FaceParameters = nested(FaceParameters)
    mood: MoodParameters = nested(MoodParameters)
