from __future__ import annotations

from collections.abc import Sequence

import pytest

from bbia_ros.dialogue.token_text import TokenText

PIECES = {0: b"The", 1: b" moon", 2: b" is", 3: "é".encode()[:1], 4: "é".encode()[1:], 5: b"\nUser", 6: b":", 7: b"\n"}


def decode(tokens: Sequence[int]) -> str:
    return b"".join(PIECES[token] for token in tokens).decode("utf-8", errors="replace")


def tell(tokens: Sequence[int], stop: Sequence[str] = ()) -> list[str]:
    text = TokenText(decode, stop)
    pieces = [text.add(token) for token in tokens if not text.stopped]
    return [piece for piece in [*pieces, text.rest()] if piece]


def test_words_come_one_by_one_with_their_spaces() -> None:
    assert tell([0, 1, 2]) == ["The", " moon", " is"]


def test_half_a_character_waits_for_its_other_half() -> None:
    assert tell([0, 3, 4, 1]) == ["The", "é", " moon"]


def test_a_stop_text_ends_the_answer_and_is_not_told() -> None:
    text = TokenText(decode, ["\nUser:"])
    assert [text.add(token) for token in (0, 5, 6)] == ["The", "", ""]
    assert text.stopped
    assert text.rest() == ""


@pytest.mark.parametrize("tokens", [[0, 7, 1], [0, 5, 1], [0, 5]])
def test_what_only_began_like_a_stop_text_is_told_after_all(tokens: list[int]) -> None:
    assert "".join(tell(tokens, ["\nUser:"])) == decode(tokens)
