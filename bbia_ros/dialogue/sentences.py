"""Cuts a growing text into sentences, so that the first is spoken while the rest is still being written."""

from __future__ import annotations

import re

from bbia_ros.wording import word_set

_ENDS = re.compile(r"[.!?…]+[\"'»”)\]]*(?=\s)|\n+")
_ABBREVIATIONS = word_set("mr mrs ms dr prof sr jr st vs etc e.g i.e no approx fig mt m mme mlle p.ex env c.-à-d")
_UNSPEAKABLE = re.compile(
    "[\U0001f000-\U0001faff\u2190-\u21ff\u2300-\u27bf\u2900-\u2bff\ufe00-\ufe0f\u200d\u20e3*_`#~|<>{}\\[\\]^]"
)
_CLAUSE_MARKS = re.compile(r"[,;:](?=\s)|\s[\u2013\u2014-](?=\s)")
_JOINING_WORDS = re.compile(
    r"\s(?=(?:and|but|because|which|that|who|when|while|where|as|so|if|with|et|mais|parce|car|qui|quand|où|avec|si)\s)",
    re.IGNORECASE,
)
_LAST_WORD = re.compile(r"(\S+)\Z")


class SentenceSplitter:
    """Takes pieces of a text and gives its sentences as soon as each is certain to be over.

    A sentence is over at . ! ? or … followed by white space (the dot of an abbreviation, an initial or a list number
    does not count), at a line break, or when it grows past the limit.

    With `clause_words` the very first part may be less than a sentence: it ends where a speaker may breathe, at a
    comma, semicolon, colon or dash, or before a word that joins a clause. A voice can begin with it while the model
    still writes the sentence.

    Args:
        longest: Characters after which a sentence is cut at the last comma or space.
        clause_words: Fewest words of a clause that may stand alone at the beginning; 0 waits for the whole sentence.
    """

    def __init__(self, longest: int = 240, clause_words: int = 0) -> None:
        self._longest, self._clause_words = longest, clause_words
        self._begun = clause_words == 0
        self._rest = ""

    def feed(self, piece: str) -> list[str]:
        """Adds a piece of text and returns the sentences that it completes."""
        self._rest += piece
        found: list[str] = []
        start = search_from = 0
        while match := _ENDS.search(self._rest, search_from):
            search_from = match.end()
            if match.group().startswith(".") and _is_abbreviation(self._rest[start : match.start()]):
                continue
            found.extend(self._shorten(self._rest[start : match.end()].strip()))
            start = match.end()
        *full, self._rest = self._shorten(self._rest[start:])
        found.extend(full)
        if not self._begun and not found:
            found.extend(self._first_clause())
        self._begun = self._begun or bool(found)
        return [sentence for part in found if (sentence := part.strip())]

    @property
    def rest(self) -> str:
        """What is not certain to be a sentence yet."""
        return self._rest.strip()

    def flush(self) -> list[str]:
        """Returns what is left as the last sentence and starts anew."""
        last, self._rest = self._rest.strip(), ""
        self._begun = self._clause_words == 0
        return [last] if last else []

    def _first_clause(self) -> list[str]:
        """Takes the shortest clause that is long enough off the rest; nothing while there is none."""
        ends = sorted(
            match.end() for pattern in (_CLAUSE_MARKS, _JOINING_WORDS) for match in pattern.finditer(self._rest)
        )
        end = next((end for end in ends if len(self._rest[:end].split()) >= self._clause_words), 0)
        clause, self._rest = self._rest[:end], self._rest[end:]
        return [clause] if clause else []

    def _shorten(self, text: str) -> list[str]:
        """The text in parts of the greatest length at most; one part if it is short, even if empty."""
        parts = []
        while len(text) > self._longest:
            window = text[: self._longest]
            places = (window.rfind(mark) + len(mark) for mark in (", ", "; ", ": ", " "))
            cut = next((place for place in places if place > self._longest // 3), self._longest)
            parts.append(text[:cut])
            text = text[cut:]
        return [*parts, text]


def speakable(sentence: str) -> str:
    """The sentence without emoji and markup; empty when nothing is left to say."""
    text = " ".join(_UNSPEAKABLE.sub(" ", sentence).split())
    return text if any(character.isalnum() for character in text) else ""


def _is_abbreviation(before: str) -> bool:
    """Whether the dot after this text belongs to its last word."""
    match = _LAST_WORD.search(before)
    if match is None:
        return False
    word = match.group(1).lstrip("(\"'«“")
    only_word = match.start() == 0 or not before[: match.start()].strip()
    is_initial = len(word) == 1 and word.isalpha() and word.isupper() and word != "I"
    return word.lower() in _ABBREVIATIONS or is_initial or (word.isdigit() and only_word)
