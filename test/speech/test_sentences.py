from hypothesis import given
from hypothesis import strategies as st

from bbia_ros.speech.sentences import sentences


def test_splits_where_a_speaker_pauses() -> None:
    assert sentences("Hello there. I see an apple! Do you?") == ["Hello there.", "I see an apple!", "Do you?"]


def test_keeps_titles_numbers_and_french_marks_whole() -> None:
    assert sentences("Dr. Who has 3.5 apples.") == ["Dr. Who has 3.5 apples."]
    assert sentences("Bonjour ! Ça va ?") == ["Bonjour !", "Ça va ?"]


def test_text_without_sound_gives_nothing() -> None:
    assert sentences("") == []
    assert sentences(" ... !?  \n") == []


def test_long_sentence_is_cut_at_commas() -> None:
    text = "I see an apple on the left side, a croissant in the middle of the table, and a duck on the right side."
    assert sentences(text, longest=50) == [
        "I see an apple on the left side,",
        "a croissant in the middle of the table,",
        "and a duck on the right side.",
    ]


@given(st.text(alphabet="ab c,.!?\n", max_size=300), st.integers(5, 60))
def test_no_word_is_lost_and_none_is_said_twice(text: str, longest: int) -> None:
    pieces = sentences(text, longest)
    words = [w for w in text.split() if any(c.isalnum() for c in w)]
    assert [w for w in " ".join(pieces).split() if any(c.isalnum() for c in w)] == words
    assert all(any(c.isalnum() for c in piece) for piece in pieces)
    assert all(len(piece) <= longest or " " not in piece for piece in pieces)
