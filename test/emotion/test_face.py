"""Faces acted by their action units read as what they show, smoothed over five readings, never by chance."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bbia_ros.emotion.face import WINDOW, FaceEmotionReader, action_units, expressions
from bbia_ros.emotion.reading import RECOGNISED
from bbia_ros.perception.blendshapes import INDEX, NAMES

PAIRED = {name[:-4] for name in NAMES if name.endswith("Left")} & {
    name[:-5] for name in NAMES if name.endswith("Right")
}
RESTING = {"eyeSquint": 0.32, "browDown": 0.12, "browOuterUp": 0.1, "mouthPress": 0.1, "mouthShrugLower": 0.08}


def face(**values):
    """A face at rest, with some blendshapes set; a name without Left or Right sets both sides."""
    shapes = [0.01] * len(NAMES)
    for name, value in {**RESTING, **values}.items():
        for side in ("Left", "Right") if name in PAIRED and name not in INDEX else ("",):
            shapes[INDEX[name + side]] = value
    return shapes


ACTED = {
    "neutral": face(),
    "happy": face(mouthSmile=0.85, eyeSquint=0.6, mouthUpperUp=0.4),
    "sad": face(mouthFrown=0.35, browInnerUp=0.7, browOuterUp=0.05, mouthShrugLower=0.5, browDown=0.3),
    "angry": face(browDown=0.75, mouthPress=0.6, eyeSquint=0.7),
    "surprised": face(browInnerUp=0.8, browOuterUp=0.8, eyeWide=0.4, jawOpen=0.5),
    "fearful": face(browInnerUp=0.6, browOuterUp=0.5, browDown=0.5, eyeWide=0.45, mouthStretch=0.45),
    "disgusted": face(noseSneer=0.25, mouthUpperUp=0.6, eyeSquint=0.5),
    "excited": face(mouthSmile=0.9, jawOpen=0.6, browInnerUp=0.6, browOuterUp=0.7, eyeWide=0.3),
    "calm": face(mouthSmile=0.38),
    "confused": face(browDown=0.45, browOuterUpLeft=0.75, browOuterUpRight=0.05, mouthLeft=0.4, eyeSquint=0.6),
}


@pytest.mark.parametrize("label", RECOGNISED)
def test_each_acted_emotion_is_read(label):
    reading = FaceEmotionReader().read(ACTED[label])
    assert reading.label == label, reading.scores
    assert list(reading.scores) == list(RECOGNISED)
    assert sum(reading.scores.values()) == pytest.approx(1.0)


def test_valence_and_arousal_follow_the_face():
    place = {label: FaceEmotionReader().read(shapes) for label, shapes in ACTED.items()}
    assert place["happy"].valence > 0.5 > 0.1 > abs(place["neutral"].valence)
    assert all(place[label].valence < -0.2 for label in ("sad", "angry", "fearful", "disgusted"))
    assert place["excited"].arousal > place["happy"].arousal > place["neutral"].arousal > place["calm"].arousal
    assert place["neutral"].intensity == 0.0
    assert place["happy"].intensity > 0.8


def test_a_broader_smile_is_a_happier_one():
    intensities = [
        FaceEmotionReader().read(face(mouthSmile=smile)).scores["happy"] for smile in np.linspace(0.4, 0.9, 6)
    ]
    assert intensities == sorted(intensities)
    assert intensities[-1] > intensities[0] + 0.3


def test_a_blink_is_no_feeling():
    assert FaceEmotionReader().read(face(eyeBlink=0.95)).label == "neutral"


def test_one_wild_reading_does_not_change_the_label():
    reader = FaceEmotionReader()
    for _ in range(WINDOW):
        steady = reader.read(ACTED["happy"])
    wild = reader.read(ACTED["angry"])
    assert wild.label == "happy"
    assert wild.confidence < steady.confidence


def test_the_window_really_smooths():
    randomness = np.random.default_rng(5)
    raw, smoothed = [], []
    reader = FaceEmotionReader()
    for _ in range(200):
        shapes = np.clip(np.array(face(mouthSmile=0.5)) + randomness.normal(0.0, 0.08, len(NAMES)), 0.0, 1.0)
        raw.append(FaceEmotionReader().read(shapes.tolist()).scores["happy"])
        smoothed.append(reader.read(shapes.tolist()).scores["happy"])
    assert np.std(np.diff(smoothed)) < 0.5 * np.std(np.diff(raw))


def test_a_lasting_change_is_read_within_the_window():
    reader = FaceEmotionReader()
    for _ in range(20):
        reader.read(ACTED["happy"])
    labels = [reader.read(ACTED["sad"]).label for _ in range(WINDOW)]
    assert labels[0] == "happy"
    assert labels[-1] == "sad"


def test_reset_forgets_another_persons_face():
    reader = FaceEmotionReader()
    for _ in range(WINDOW):
        reader.read(ACTED["angry"])
    reader.reset()
    assert reader.read(ACTED["happy"]).confidence == FaceEmotionReader().read(ACTED["happy"]).confidence


@pytest.mark.parametrize("shapes", [[], [0.1] * 51, [math.nan] * 52, [math.inf] + [0.0] * 51])
def test_a_broken_reading_is_refused_and_nothing_is_lost(shapes):
    reader = FaceEmotionReader()
    before = reader.read(ACTED["happy"])
    with pytest.raises(ValueError, match="52 finite blendshapes"):
        reader.read(shapes)
    assert reader.read(ACTED["happy"]) == before


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-0.5, 1.5), min_size=52, max_size=52))
def test_any_face_gives_a_valid_reading_and_the_same_one_each_time(shapes):
    reading = FaceEmotionReader().read(shapes)
    assert reading == FaceEmotionReader().read(shapes)
    assert reading.label in RECOGNISED
    assert all(0.0 <= value <= 1.0 for value in expressions(action_units(shapes)).values())


@pytest.mark.heavy
def test_the_portrait_reads_happy():
    from PIL import Image

    from bbia_ros.perception.faces_mediapipe import MediaPipeFaces
    from bbia_ros.residency.catalog import resolve

    file = Path(importlib.util.find_spec("skimage").origin).parent / "data" / "astronaut.png"
    engine = MediaPipeFaces(str(resolve("face-landmarker", "faces")))
    try:
        (found,) = engine.faces(np.asarray(Image.open(file).convert("RGB")))
    finally:
        engine.close()
    reading = FaceEmotionReader().read(found.blendshapes.tolist())
    assert reading.label == "happy"
    assert reading.intensity > 0.7
    assert reading.valence > 0.5
