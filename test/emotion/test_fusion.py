from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bbia_ros.emotion.fusion import SOURCES, EmotionFusion
from bbia_ros.emotion.reading import RECOGNISED, EmotionReading, neutral, place


def reading(label: str, confidence: float = 0.9, share: float = 0.9) -> EmotionReading:
    others = [name for name in RECOGNISED if name != label]
    scores = {label: share, **{name: (1.0 - share) / len(others) for name in others}}
    return EmotionReading(label, 0.0 if label == "neutral" else 0.9, *place(scores), confidence, scores)


def test_nothing_known_is_nothing_read() -> None:
    assert EmotionFusion().read(0.0) is None
    with pytest.raises(KeyError, match="unknown source"):
        EmotionFusion().take("smell", neutral(), 0.0)


def test_sad_words_outweigh_a_portrait_that_always_smiles() -> None:
    fusion = EmotionFusion()
    fusion.take("face", reading("happy"), 0.0)
    fusion.take("text", reading("sad"), 0.0)
    fused = fusion.read(0.0)
    assert fused is not None
    assert fused.label == "sad"
    assert fused.scores["happy"] > 0.2


def test_what_was_said_fades_behind_what_is_shown() -> None:
    fusion = EmotionFusion()
    fusion.take("text", reading("sad"), 0.0)
    fusion.take("face", reading("happy"), 30.0)
    fused = fusion.read(30.0)
    assert fused is not None
    assert fused.label == "happy"


def test_neutral_words_say_little() -> None:
    fusion = EmotionFusion()
    fusion.take("face", reading("happy"), 0.0)
    fusion.take("text", reading("neutral"), 0.0)
    fused = fusion.read(0.0)
    assert fused is not None
    assert fused.label == "happy"


def test_a_face_that_left_no_longer_counts() -> None:
    fusion = EmotionFusion()
    fusion.take("face", reading("happy"), 0.0)
    fusion.forget("face")
    assert fusion.read(0.0) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(SOURCES)),
            st.sampled_from(RECOGNISED),
            st.floats(0.0, 1.0),
            st.floats(0.1, 1.0),
            st.floats(0.0, 5.0),
        ),
        max_size=10,
    )
)
def test_fused_readings_are_always_valid(events: list[tuple[str, str, float, float, float]]) -> None:
    fusion, now = EmotionFusion(), 0.0
    for source, label, confidence, share, pause in events:
        now += pause
        fusion.take(source, reading(label, confidence, share), now)
        fused = fusion.read(now)  # EmotionReading checks its own ranges
        if fused is not None:
            assert fused.scores[fused.label] == max(fused.scores.values())
            assert sum(fused.scores.values()) == pytest.approx(1.0)
    assert fusion.read(now + 1000.0) is None


@given(st.sampled_from(RECOGNISED), st.floats(0.3, 1.0))
def test_one_source_alone_is_believed(label: str, confidence: float) -> None:
    fusion = EmotionFusion()
    fusion.take("text", reading(label, confidence), 0.0)
    fused = fusion.read(0.0)
    assert fused is not None
    assert fused.label == label
    assert fused.confidence <= confidence
