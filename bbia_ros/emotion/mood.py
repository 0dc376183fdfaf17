"""The robot's own mood: what it feels about what happens, and how that fades.

Each expressed emotion has an activation in [0, 1]. Something that happens raises one and pushes the others down; all
fade exponentially. The mood is the strongest activation, with hysteresis so that it does not flicker. Valence and
arousal are those of the active emotions on the circumplex (reading.CIRCUMPLEX), weighted by activation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bbia_ros.emotion.reading import CIRCUMPLEX, EXPRESSED, EmotionReading, place

FEELINGS: tuple[str, ...] = tuple(label for label in EXPRESSED if label != "neutral")

DISPLACED = 0.9
"""How far a new feeling of intensity 1 pushes the others down."""

TO_USER: Mapping[str, tuple[str, float]] = MappingProxyType(
    {
        "happy": ("happy", 0.8),
        "sad": ("sad", 0.8),
        "angry": ("fearful", 0.5),
        "surprised": ("surprised", 0.6),
        "fearful": ("determined", 0.6),
        "disgusted": ("confused", 0.4),
        "excited": ("excited", 0.8),
        "calm": ("calm", 0.6),
        "confused": ("curious", 0.6),
    }
)
"""What the robot feels, and how strongly, when a person feels something: it is sad with the sad and takes courage for
the fearful."""

TO_STIMULUS: Mapping[str, tuple[str, float]] = MappingProxyType(
    {
        "compliment": ("happy", 0.95),
        "insult": ("sad", 0.7),
        "surprise": ("surprised", 0.8),
        "danger": ("fearful", 0.85),
        "question": ("curious", 0.4),
        "greeting": ("happy", 0.5),
        "goodbye": ("nostalgic", 0.4),
        "achievement": ("proud", 0.8),
        "failure": ("sad", 0.6),
    }
)
"""What the robot feels when something is done to it or told to it."""

STRONG_STIMULI = frozenset({"compliment", "insult", "danger"})
"""Aimed at the robot, or at both: they count before the person's own feeling."""


@dataclass(frozen=True)
class MoodSettings:
    """How moods come and go.

    Attributes:
        decay_s: Time in which an activation falls to 1/e [s].
        enter: Activation from which an emotion may become the mood.
        leave: Activation below which the mood ends; less than `enter`.
        margin: Lead that another emotion needs to take over.
    """

    decay_s: float = 20.0
    enter: float = 0.25
    leave: float = 0.12
    margin: float = 0.08


class Mood:
    """The robot's mood over time; times are of a monotonic clock [s] and never run back.

    Args:
        settings: How moods come and go.
        now: Present time.
    """

    def __init__(self, settings: MoodSettings | None = None, now: float = 0.0) -> None:
        self.settings = settings or MoodSettings()
        self._active = dict.fromkeys(FEELINGS, 0.0)
        self._label = "neutral"
        self._held: tuple[str, float, float] | None = None  # label, activation, until
        self._time = now

    def feel(self, label: str, intensity: float, now: float, hold_s: float = 0.0) -> None:
        """Something makes the robot feel this.

        Args:
            label: One of EXPRESSED; "neutral" calms everything down.
            intensity: [0, 1].
            now: Present time.
            hold_s: The feeling keeps this strength for so long before it fades [s].

        Raises:
            ValueError: The label or the intensity is none.
        """
        if label not in EXPRESSED:
            raise ValueError(f"the robot cannot express {label!r}: must be one of {', '.join(EXPRESSED)}")
        if not 0.0 <= intensity <= 1.0:
            raise ValueError(f"intensity is {intensity}: must lie in [0, 1]")
        self._advance(now)
        for other in FEELINGS:
            if other != label:
                self._active[other] *= 1.0 - DISPLACED * intensity
        if label != "neutral":
            self._active[label] = max(self._active[label], intensity)
        if hold_s > 0.0:
            self._held = (label, intensity, now + hold_s)
        elif self._held is not None and self._held[0] != label:
            self._held = None
        self._settle()

    def react_to_user(self, reading: EmotionReading, now: float, gain: float = 1.0) -> bool:
        """Feels with a person. False when the reading moves nothing."""
        if reading.label not in TO_USER:
            return False
        label, strength = TO_USER[reading.label]
        intensity = strength * gain * reading.intensity
        if intensity < self.settings.leave:
            return False
        self.feel(label, min(1.0, intensity), now)
        return True

    def react_to_stimulus(self, stimulus: str, now: float, gain: float = 1.0) -> bool:
        """Feels about something that was done or told. False when it moves nothing."""
        if stimulus not in TO_STIMULUS:
            return False
        label, strength = TO_STIMULUS[stimulus]
        self.feel(label, min(1.0, strength * gain), now)
        return True

    def read(self, now: float) -> EmotionReading:
        """The mood at this moment."""
        self._advance(now)
        self._settle()
        total = sum(self._active.values())
        # An unmoved robot is neutral: what activations leave of the whole.
        shares = {"neutral": max(0.0, 1.0 - total), **{k: v for k, v in self._active.items() if v > 0.0}}
        whole = sum(shares.values())
        scores = {label: min(1.0, share / whole) for label, share in shares.items()}
        valence, arousal = place(scores)
        intensity = self._active.get(self._label, 0.0)
        return EmotionReading(self._label, intensity, valence, arousal, 1.0, scores)

    def _advance(self, now: float) -> None:
        elapsed = now - self._time
        if elapsed <= 0.0:
            return
        self._time = now
        factor = math.exp(-elapsed / self.settings.decay_s)
        for label in FEELINGS:
            self._active[label] *= factor
            if self._active[label] < 1e-4:
                self._active[label] = 0.0
        if self._held is not None:
            label, intensity, until = self._held
            if now < until:
                if label in self._active:
                    self._active[label] = max(self._active[label], intensity)
            else:
                self._held = None

    def _settle(self) -> None:
        """Chooses the mood: the present one stays until it has faded or another clearly leads."""
        strongest = max(FEELINGS, key=self._active.__getitem__)
        lead = self._active[strongest]
        present = self._active.get(self._label, 0.0)
        if self._label != "neutral" and present < self.settings.leave:
            self._label = "neutral"
        if self._label == "neutral":
            if lead >= self.settings.enter:
                self._label = strongest
        elif lead >= self.settings.enter and lead > present + self.settings.margin:
            self._label = strongest


def distance_from_neutral(reading: EmotionReading) -> float:
    """How far valence and arousal are from rest; 0 is neutral."""
    return math.hypot(reading.valence - CIRCUMPLEX["neutral"][0], reading.arousal - CIRCUMPLEX["neutral"][1])
