"""Texts brought to one plain form, so that rules and word lists need not know accents, case and typography."""

from __future__ import annotations

import re
import unicodedata

_NOT_WORD = re.compile(r"[^\w']+|_+")


def word_set(words: str) -> frozenset[str]:
    """A set of words written as one text with spaces between them."""
    return frozenset(words.split())


def fold(text: str) -> str:
    """Lower case without accents, with plain apostrophes and "oe" for the ligature."""
    decomposed = unicodedata.normalize("NFKD", text.replace("\u2019", "'").replace("œ", "oe").lower())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def plain(text: str) -> str:
    """Folded words with one space between them; punctuation is gone, apostrophes stay: "l'etoile du nord"."""
    return " ".join(_NOT_WORD.sub(" ", fold(text)).split())
