"""Cutting a text where a speaker breathes, so that the first piece can be heard while the next is made."""

from __future__ import annotations

import re

_END = re.compile(r"(?<=[.!?…])[\"')\]]*\s+|\n+")
_BREATH = re.compile(r"(?<=[,;:])\s+")
_ABBREVIATION = re.compile(r"\b(?:mr|mrs|ms|dr|st|no|vs|e\.g|i\.e|etc|m|mme)\.$", re.IGNORECASE)
_SOUND = re.compile(r"\w")


def sentences(text: str, longest: int = 200) -> list[str]:
    """Splits a text into pieces that are spoken one after the other.

    Args:
        text: English or French, any length.
        longest: a sentence with more characters is cut at commas, and at spaces where there are none.

    Returns:
        Pieces with at least one letter or digit each, in order; joined they hold every word of the text.
    """
    found: list[str] = []
    start = 0
    for match in _END.finditer(text):
        piece = text[start : match.start()]
        if "\n" not in match.group() and _ABBREVIATION.search(piece):
            continue
        found.append(piece)
        start = match.end()
    found.append(text[start:])
    pieces = [part for sentence in found for part in _shorten(" ".join(sentence.split()), longest)]
    return [piece for piece in pieces if _SOUND.search(piece)]


def _shorten(sentence: str, longest: int) -> list[str]:
    if len(sentence) <= longest:
        return [sentence]
    parts: list[str] = []
    for clause in _BREATH.split(sentence):
        if parts and len(parts[-1]) + 1 + len(clause) <= longest:
            parts[-1] += " " + clause
            continue
        line = ""
        for word in clause.split(" "):
            if line and len(line) + 1 + len(word) > longest:
                parts.append(line)
                line = word
            else:
                line = f"{line} {word}" if line else word
        parts.append(line)
    return parts
