"""A feeling from a face: MediaPipe's blendshapes as facial action units, action units as emotions.

Blendshapes are close to the action units (AU) of the Facial Action Coding System (Ekman, Friesen and Hager, 2002).
Emotions follow from prototypes of action units:

* happy 6+12, sad 1+4+15, angry 4+7+23/24, surprised 1+2+5+26, fearful 1+2+4+5+20, disgusted 9+10: the prototypes of
  EMFACS (Friesen and Ekman, 1983), as Du, Tao and Martinez found them again ("Compound facial expressions of emotion",
  PNAS 111, 2014);
* confused 4+7: Craig, D'Mello, Witherspoon and Graesser ("Emote aloud during learning with AutoTutor", Cognition and
  Emotion 22, 2008); and brows or mouth drawn to one side, by judgement;
* excited, an open smile (12+26) with brows or lids raised, and calm, a slight smile with nothing tense: by judgement.

What a face shows is not what its owner feels: a portrait that smiles for its photographer reads happy for ever. That is
why face, words and their fusion are reported apart.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence

from bbia_ros.emotion.reading import RECOGNISED, EmotionReading, place
from bbia_ros.perception.blendshapes import INDEX, NAMES

WINDOW = 5
"""Readings that are averaged: half a second at 10 Hz."""

ACTION_UNITS: Mapping[str, tuple[tuple[str, ...], float, float]] = {
    "inner_brow_raiser": (("browInnerUp",), 0.20, 0.70),  # AU 1
    "outer_brow_raiser": (("browOuterUpLeft", "browOuterUpRight"), 0.25, 0.80),  # AU 2
    "brow_lowerer": (("browDownLeft", "browDownRight"), 0.25, 0.70),  # AU 4
    "upper_lid_raiser": (("eyeWideLeft", "eyeWideRight"), 0.10, 0.40),  # AU 5
    "lid_tightener": (("eyeSquintLeft", "eyeSquintRight"), 0.50, 0.80),  # AU 6 and 7
    "nose_wrinkler": (("noseSneerLeft", "noseSneerRight"), 0.03, 0.25),  # AU 9
    "upper_lip_raiser": (("mouthUpperUpLeft", "mouthUpperUpRight"), 0.20, 0.60),  # AU 10
    "lip_corner_puller": (("mouthSmileLeft", "mouthSmileRight"), 0.20, 0.80),  # AU 12
    "lip_corner_depressor": (("mouthFrownLeft", "mouthFrownRight"), 0.05, 0.35),  # AU 15
    "chin_raiser": (("mouthShrugLower",), 0.20, 0.60),  # AU 17
    "lip_stretcher": (("mouthStretchLeft", "mouthStretchRight"), 0.10, 0.45),  # AU 20
    "lip_presser": (("mouthPressLeft", "mouthPressRight"), 0.20, 0.60),  # AU 23 and 24
    "jaw_drop": (("jawOpen",), 0.15, 0.60),  # AU 26
}
"""Blendshapes of each action unit (their mean counts), the value up to which a face at rest may show it, and the value
at which it is full. The limits are by judgement: at rest MediaPipe gives eyeSquint 0.3 and browDown 0.1, and some
shapes never come near 1 (noseSneer, mouthFrown, eyeWide); cheekSquint stays at 0 and is not used.
"""


class FaceEmotionReader:
    """Reads the feeling on one face, smoothed over its last readings.

    Owns: the last `window` scores. One reader per face; call `reset` when the face is another one.
    """

    def __init__(self, window: int = WINDOW) -> None:
        """Start with nothing read.

        Args:
            window: readings that are averaged, 1 or more.
        """
        if window < 1:
            raise ValueError(f"window is {window}: must be 1 or more")
        self._history: deque[dict[str, float]] = deque(maxlen=window)

    def read(self, blendshapes: Sequence[float]) -> EmotionReading:
        """Take the blendshapes of one image.

        Args:
            blendshapes: 52 values in [0, 1] in MediaPipe's order.

        Returns:
            The mean over the window. Intensity is how full the prototype is; 0 for neutral. Confidence is the share of
            the label, times the part of the window in which it was on top.

        Raises:
            ValueError: not 52 values, or one that is not finite; the window stays as it was.
        """
        self._history.append(expressions(action_units(blendshapes)))
        evidence = {label: _mean([entry[label] for entry in self._history]) for label in RECOGNISED}
        scores = shares(evidence)
        label = _top(scores)
        agreeing = sum(_top(shares(entry)) == label for entry in self._history) / len(self._history)
        valence, arousal = place(scores)
        return EmotionReading(
            label=label,
            intensity=0.0 if label == "neutral" else evidence[label],
            valence=valence,
            arousal=arousal,
            confidence=scores[label] * agreeing,
            scores=scores,
        )

    def reset(self) -> None:
        """Forget what was read."""
        self._history.clear()


def action_units(blendshapes: Sequence[float]) -> dict[str, float]:
    """How full each action unit is, 0 at rest to 1, and the two asymmetries that tell confusion.

    Args:
        blendshapes: 52 values in MediaPipe's order.

    Returns:
        The keys of ACTION_UNITS, and "one_brow" and "mouth_aside".

    Raises:
        ValueError: not 52 values, or one that is not finite.
    """
    values = [float(value) for value in blendshapes]
    if len(values) != len(NAMES) or not all(math.isfinite(value) for value in values):
        raise ValueError(f"a face has {len(NAMES)} finite blendshapes, got {len(values)}: {values[:3]}...")

    def mean(names: Sequence[str]) -> float:
        return _mean([values[INDEX[name]] for name in names])

    units = {unit: _ramp(mean(names), low, high) for unit, (names, low, high) in ACTION_UNITS.items()}
    brows = abs(values[INDEX["browOuterUpLeft"]] - values[INDEX["browOuterUpRight"]])
    units["one_brow"] = _ramp(brows, 0.20, 0.60)
    units["mouth_aside"] = _ramp(max(values[INDEX["mouthLeft"]], values[INDEX["mouthRight"]]), 0.15, 0.50)
    return units


def expressions(units: Mapping[str, float]) -> dict[str, float]:
    """How full the prototype of each of the recognised emotions is, 0 to 1.

    A weighted sum of a prototype's action units, taken down by those that speak against it.

    Args:
        units: from `action_units`.
    """
    smile, jaw = units["lip_corner_puller"], units["jaw_drop"]
    brows_up = (units["inner_brow_raiser"] + units["outer_brow_raiser"]) / 2.0
    frown = units["brow_lowerer"]
    lids_up = units["upper_lid_raiser"]
    no_smile = 1.0 - smile
    raised = max(brows_up, lids_up)
    open_smile = smile * min(1.0, 0.6 * jaw + 0.6 * raised)
    tense = max(frown, raised, jaw, units["lip_presser"], units["lip_corner_depressor"], units["lip_stretcher"])
    slight_smile = max(0.0, 1.0 - abs(smile - 0.3) / 0.3)
    evidence = {
        "happy": smile * (0.85 + 0.15 * units["lid_tightener"]) * (1.0 - 0.7 * open_smile),
        "sad": no_smile
        * (1.0 - jaw)
        * (
            0.5 * units["lip_corner_depressor"]
            + 0.3 * units["inner_brow_raiser"] * (1.0 - units["outer_brow_raiser"])
            + 0.1 * frown
            + 0.1 * units["chin_raiser"]
        )
        * 1.25,
        "angry": no_smile
        * frown
        * (0.5 + 0.3 * units["lip_presser"] + 0.2 * units["lid_tightener"])
        * (1.0 - 0.5 * max(units["one_brow"], units["mouth_aside"]))
        * (1.0 - brows_up),
        "surprised": no_smile * (1.0 - frown) * (0.4 * brows_up + 0.25 * lids_up + 0.35 * jaw) * (0.3 + 0.7 * raised),
        "fearful": no_smile
        * min(1.0, 0.4 * lids_up + 0.35 * units["lip_stretcher"] + 0.25 * min(brows_up, frown) * 2.0),
        "disgusted": no_smile * (0.6 * units["nose_wrinkler"] + 0.4 * units["upper_lip_raiser"]),
        "excited": open_smile,
        "calm": 0.6 * slight_smile * (1.0 - tense),
        "confused": no_smile
        * min(1.0, 0.45 * max(units["one_brow"], units["mouth_aside"]) + 0.35 * frown + 0.2 * units["lid_tightener"])
        * (1.0 - units["lip_presser"]),
    }
    evidence = {label: min(1.0, max(0.0, value)) for label, value in evidence.items()}
    evidence["neutral"] = 1.0 - max(evidence.values())
    return {label: evidence[label] for label in RECOGNISED}


def shares(evidence: Mapping[str, float]) -> dict[str, float]:
    """Evidence squared, so that what is weak does not add up, and divided by the sum.

    Args:
        evidence: [0, 1] of each label, not all 0.
    """
    squares = {label: value * value for label, value in evidence.items()}
    total = sum(squares.values())
    return {label: value / total for label, value in squares.items()}


def _top(scores: Mapping[str, float]) -> str:
    return max(scores, key=lambda label: scores[label])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _ramp(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))
