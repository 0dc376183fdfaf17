from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bbia_ros.emotion.mood import TO_STIMULUS, TO_USER, Mood, MoodSettings, distance_from_neutral
from bbia_ros.emotion.reading import EXPRESSED, RECOGNISED, EmotionReading, place
from bbia_ros.emotion.text_head import STIMULI


def person(label: str, intensity: float = 0.9) -> EmotionReading:
    return EmotionReading(label, intensity, *place({label: 1.0}), 0.9, {label: 1.0})


def test_starts_neutral_and_stays_so() -> None:
    mood = Mood()
    for now in (0.0, 10.0, 1e6):
        reading = mood.read(now)
        assert (reading.label, reading.intensity, reading.valence, reading.arousal) == ("neutral", 0.0, 0.0, 0.0)


def test_is_sad_with_the_sad_and_fades() -> None:
    mood = Mood()
    assert mood.react_to_user(person("sad"), 0.0)
    assert mood.read(0.0).label == "sad"
    assert mood.read(0.0).valence < -0.2
    assert mood.read(10.0).label == "sad"
    assert mood.read(200.0).label == "neutral"
    assert mood.read(200.0).intensity == 0.0


def test_a_compliment_wins_over_sadness_at_once() -> None:
    mood = Mood()
    mood.react_to_user(person("sad", 1.0), 0.0)
    mood.react_to_stimulus("compliment", 3.0)
    reading = mood.read(3.0)
    assert reading.label == "happy"
    assert reading.intensity > 0.9
    assert reading.valence > 0.4
    assert reading.scores["happy"] > 3 * reading.scores["sad"]


def test_a_faint_smile_does_not_chase_sadness_away() -> None:
    mood = Mood()
    mood.react_to_user(person("sad", 1.0), 0.0)
    mood.react_to_user(person("happy", 0.6), 1.0, gain=0.45)
    assert mood.read(1.0).label == "sad"


def test_does_not_flicker_between_two_that_are_close() -> None:
    mood = Mood(MoodSettings(margin=0.1))
    mood.feel("happy", 0.5, 0.0)
    label = mood.read(0.0).label
    for step in range(1, 20):
        mood._active["proud"] = mood._active["happy"] + (0.05 if step % 2 else -0.05)
        assert mood.read(step * 0.01).label == label
    mood._active["proud"] = mood._active["happy"] + 0.2
    assert mood.read(0.2).label == "proud"


def test_a_held_feeling_keeps_its_strength_until_its_time_is_over() -> None:
    mood = Mood()
    mood.feel("proud", 0.8, 0.0, hold_s=60.0)
    assert mood.read(59.0).intensity == pytest.approx(0.8)
    assert mood.read(60.0 + 20.0).intensity < 0.8
    assert mood.read(300.0).label == "neutral"
    mood.feel("angry", 0.8, 301.0, hold_s=60.0)
    mood.feel("neutral", 1.0, 302.0)
    assert mood.read(303.0).label == "neutral"


def test_wrong_feelings_are_refused() -> None:
    mood = Mood()
    for label, intensity in (("disgusted", 0.5), ("", 0.5), ("happy", -0.1), ("happy", 1.1), ("happy", float("nan"))):
        with pytest.raises(ValueError, match="must"):
            mood.feel(label, intensity, 0.0)
    assert mood.read(0.0).label == "neutral"


def test_reactions_name_emotions_that_exist() -> None:
    assert set(TO_USER) == set(RECOGNISED) - {"neutral"}
    assert set(TO_STIMULUS) == set(STIMULI) - {"unknown"}
    for label, intensity in (*TO_USER.values(), *TO_STIMULUS.values()):
        assert label in EXPRESSED
        assert 0.0 < intensity <= 1.0


happenings = st.lists(
    st.tuples(
        st.sampled_from(["feel", "user", "stimulus"]),
        st.integers(0, 12),
        st.floats(0.0, 1.0),
        st.floats(0.0, 30.0),
        st.sampled_from([0.0, 0.0, 5.0]),
    ),
    max_size=25,
)


def live(mood: Mood, events: list[tuple[str, int, float, float, float]]) -> float:
    now = 0.0
    for kind, which, strength, pause, hold in events:
        now += pause
        if kind == "feel":
            mood.feel(EXPRESSED[which % len(EXPRESSED)], strength, now, hold)
        elif kind == "user":
            mood.react_to_user(person(RECOGNISED[which % len(RECOGNISED)], strength), now)
        else:
            mood.react_to_stimulus(STIMULI[which % len(STIMULI)], now, strength)
        reading = mood.read(now)  # EmotionReading checks its own ranges
        assert reading.label in EXPRESSED
    return now


@given(happenings)
def test_stays_bounded_whatever_happens_and_always_comes_to_rest(
    events: list[tuple[str, int, float, float, float]],
) -> None:
    mood = Mood()
    now = live(mood, events)
    rest = mood.read(now + 1000.0)
    assert (rest.label, rest.intensity) == ("neutral", 0.0)
    assert distance_from_neutral(rest) == 0.0


@given(happenings, st.lists(st.floats(0.01, 10.0), min_size=2, max_size=20))
def test_only_fades_when_nothing_happens(
    events: list[tuple[str, int, float, float, float]], pauses: list[float]
) -> None:
    mood = Mood()
    now = live(mood, events) + 10.0  # what was held is over
    last = mood.read(now)
    for pause in pauses:
        now += pause
        reading = mood.read(now)
        assert reading.label in (last.label, "neutral")
        assert reading.intensity <= last.intensity
        assert distance_from_neutral(reading) <= distance_from_neutral(last) + 1e-6
        last = reading


@given(st.sampled_from(EXPRESSED), st.floats(0.3, 1.0), happenings)
def test_a_strong_feeling_is_always_shown(
    label: str, intensity: float, events: list[tuple[str, int, float, float, float]]
) -> None:
    mood = Mood()
    now = live(mood, events)
    mood.feel(label, 1.0, now)
    assert mood.read(now).label == label
