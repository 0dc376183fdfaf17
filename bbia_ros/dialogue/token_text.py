"""Turns tokens into text piece by piece: no half characters, and nothing past a stop text. No library."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_UNFINISHED = "�"  # what decoders put for a character of which bytes are missing


class TokenText:
    """The text of a growing list of tokens.

    A token is decoded together with the ones before it, because decoders drop a leading space where a text begins.

    Attributes:
        stopped: a stop text came; there is nothing more to tell.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str] = ()) -> None:
        """Begins an empty text.

        Args:
            decode: text of a list of tokens.
            stop: texts that end it and are not part of it.
        """
        self.stopped = False
        self._decode = decode
        self._stop = [text for text in stop if text]
        self._tokens: list[int] = []
        self._before = self._told = 0  # tokens that give the context, tokens that were told
        self._held = ""

    def add(self, token: int) -> str:
        """What can be told now that this token came; often a word, sometimes nothing."""
        self._tokens.append(token)
        known = self._decode(self._tokens[self._before : self._told])
        whole = self._decode(self._tokens[self._before :])
        if len(whole) <= len(known) or whole.endswith(_UNFINISHED):
            return ""
        self._before, self._told = self._told, len(self._tokens)
        return self._check(whole[len(known) :])

    def rest(self) -> str:
        """What was held back because it might have become a stop text; call it at the end."""
        rest, self._held = self._held, ""
        return "" if self.stopped else rest

    def _check(self, piece: str) -> str:
        text = self._held + piece
        found = [place for stop in self._stop if (place := text.find(stop)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        held = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of the text that begins the stop text."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
