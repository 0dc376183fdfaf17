"""The labels and the reading that face, text and fusion share."""

import math

import pytest

from bbia_ros.emotion.reading import CIRCUMPLEX, EMOTIONS, EXPRESSED, RECOGNISED, EmotionReading, neutral, place


def test_there_are_ten_emotions_to_recognise_and_twelve_and_calm_to_express():
    assert len(RECOGNISED) == len(set(RECOGNISED)) == 10
    assert len(EXPRESSED) == len(set(EXPRESSED)) == 13
    assert set(EMOTIONS) == set(RECOGNISED) | set(EXPRESSED) == set(CIRCUMPLEX)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "hungry"}, "unknown emotion 'hungry'"),
        ({"intensity": 1.5}, "intensity"),
        ({"valence": -1.1}, "valence"),
        ({"arousal": math.nan}, "arousal"),
        ({"confidence": -0.1}, "confidence"),
        ({"scores": {"happy": 0.4}}, "sum to"),
        ({"scores": {"hungry": 1.0}}, "hungry"),
    ],
)
def test_a_wrong_reading_is_refused(changes, message):
    good = {"label": "happy", "intensity": 0.5, "valence": 0.5, "arousal": 0.2, "confidence": 0.9}
    EmotionReading(**good)
    with pytest.raises(ValueError, match=message):
        EmotionReading(**{**good, **changes})


def test_place_is_the_weighted_mean_of_the_labels_places():
    assert place({"happy": 1.0}) == CIRCUMPLEX["happy"]
    assert place({}) == (0.0, 0.0)
    valence, arousal = place({"happy": 2.0, "neutral": 2.0})
    assert (valence, arousal) == pytest.approx((0.4, 0.25))


def test_neutral_says_nothing():
    reading = neutral()
    assert (reading.label, reading.intensity, reading.confidence) == ("neutral", 0.0, 0.0)
