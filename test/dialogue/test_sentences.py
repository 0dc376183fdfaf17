from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bbia_ros.dialogue.sentences import SentenceSplitter, speakable


def split(*pieces: str, longest: int = 240) -> list[str]:
    splitter = SentenceSplitter(longest)
    found = [sentence for piece in pieces for sentence in splitter.feed(piece)]
    return found + splitter.flush()


def test_first_sentence_is_out_before_the_rest_is_there() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed("The moon is round") == []
    assert splitter.feed(". It") == ["The moon is round."]
    assert splitter.feed(" is far away.") == []
    assert splitter.flush() == ["It is far away."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. Smith has 3.5 apples. Good!", ["Dr. Smith has 3.5 apples.", "Good!"]),
        ("J. Verne wrote it. Did you know?", ["J. Verne wrote it.", "Did you know?"]),
        ("It was me and I. Then he left.", ["It was me and I.", "Then he left."]),
        ("1. Take bread. 2. Eat.", ["1. Take bread.", "2. Eat."]),
        ("Bonjour ! Ça va ? Oui.", ["Bonjour !", "Ça va ?", "Oui."]),
        ('He said "stop." Then he went.', ['He said "stop."', "Then he went."]),
        ("One line\nanother line", ["One line", "another line"]),
        ("Wait... what?! Really", ["Wait...", "what?!", "Really"]),
    ],
)
def test_ends_of_sentences(text: str, expected: list[str]) -> None:
    assert split(text) == expected
    assert split(*text) == expected  # one character at a time


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The moon, our neighbour, is round. It is far.", ["The moon, our neighbour,", "is round.", "It is far."]),
        (
            "The moon is a ball of rock that shines. Yes, it does.",
            ["The moon is a ball of rock", "that shines.", "Yes, it does."],
        ),
        ("Oh yes. It is round, and far.", ["Oh yes.", "It is round, and far."]),
        ("The 3,474 km wide moon - round", ["The 3,474 km wide moon -", "round"]),
        ("La lune est ronde et belle.", ["La lune est ronde", "et belle."]),
    ],
)
def test_the_first_clause_may_go_ahead(text: str, expected: list[str]) -> None:
    splitter = SentenceSplitter(clause_words=3)
    found = [part for character in text for part in splitter.feed(character)]
    assert found + splitter.flush() == expected
    assert splitter.feed("And now, dear guests, go") == ["And now, dear guests,"], "after a flush it begins anew"


@given(st.text("ab .,!?\nDr1", max_size=200), st.lists(st.integers(1, 20), max_size=50), st.integers(10, 80))
def test_no_character_is_lost_with_a_first_clause(text: str, sizes: list[int], longest: int) -> None:
    splitter, found, rest = SentenceSplitter(longest, clause_words=2), [], text
    for size in [*sizes, len(text)]:
        found += splitter.feed(rest[:size])
        rest = rest[size:]
    assert "".join("".join([*found, *splitter.flush()]).split()) == "".join(text.split())


@given(st.text("ab .,!?\nDr1", max_size=200), st.lists(st.integers(1, 20), max_size=50), st.integers(10, 80))
def test_no_character_is_lost_however_the_text_comes(text: str, sizes: list[int], longest: int) -> None:
    pieces, rest = [], text
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    found = split(*pieces, rest, longest=longest)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(0 < len(sentence) <= longest for sentence in found)


def test_only_what_can_be_spoken_is_spoken() -> None:
    assert speakable("🌙 The *moon* is round! 🚀") == "The moon is round!"
    assert speakable("🌙 ...") == ""
