"""Names of things: what a person calls them, what the detector calls them, how they are spoken."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from bbia_ros.wording import plain

FRENCH: dict[str, tuple[str, str]] = {
    "apple": ("pomme", "f"),
    "backpack": ("sac à dos", "m"),
    "banana": ("banane", "f"),
    "book": ("livre", "m"),
    "bottle": ("bouteille", "f"),
    "bowl": ("bol", "m"),
    "cake": ("gâteau", "m"),
    "carrot": ("carotte", "f"),
    "cat": ("chat", "m"),
    "cell phone": ("téléphone", "m"),
    "chair": ("chaise", "f"),
    "clock": ("horloge", "f"),
    "croissant": ("croissant", "m"),
    "cup": ("tasse", "f"),
    "dog": ("chien", "m"),
    "duck": ("canard", "m"),
    "fork": ("fourchette", "f"),
    "keyboard": ("clavier", "m"),
    "knife": ("couteau", "m"),
    "laptop": ("ordinateur portable", "m"),
    "mouse": ("souris", "f"),
    "orange": ("orange", "f"),
    "person": ("personne", "f"),
    "plant": ("plante", "f"),
    "potted plant": ("plante", "f"),
    "remote": ("télécommande", "f"),
    "scissors": ("ciseaux", "m"),
    "spoon": ("cuillère", "f"),
    "teddy bear": ("ours en peluche", "m"),
    "vase": ("vase", "m"),
    "wine glass": ("verre", "m"),
}
"""French name and gender of what detectors commonly report."""

KNOWN: tuple[str, ...] = tuple(FRENCH)
"""Labels that are understood even when they are not in sight."""

_ALIASES = {
    "rubber duck": "duck",
    "duckling": "duck",
    "ducky": "duck",
    "phone": "cell phone",
    "glass": "wine glass",
    "crescent": "croissant",
    "quasas": "croissant",
    "quason": "croissant",
    "kwason": "croissant",
}
"""Other names, and what a small speech recogniser makes of "croissant" in an English sentence."""

_CLOSE = 0.72
"""Similarity at which a misheard word still counts: "appel" and "crossant" do, "doc" for duck does not."""

_ENGLISH_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_FRENCH_NUMBERS = ("aucun", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix")


def find_label(words: str, labels: Iterable[str] = (), forgiving: bool = False) -> str | None:
    """The label that a person means.

    Args:
        words: What they said it is, for instance "the small appel please".
        labels: Labels in use besides the known ones; their spelling is returned.
        forgiving: Accept what merely resembles a name; not where other words are as likely ("planets" is not "plant").

    Returns:
        A label, or None when nothing resembles the words.
    """
    names: dict[str, str] = {}
    for label in (*KNOWN, *labels):
        names[plain(label)] = label
        if label in FRENCH:
            names[plain(FRENCH[label][0])] = label
    names.update(_ALIASES)
    tokens = plain(words).split()
    spans = [" ".join(tokens[i : i + n]) for n in (2, 1) for i in range(len(tokens) - n + 1)]
    for span in spans:
        for form in _singulars(span):
            if form in names:
                return names[form]
    for span in spans:
        if forgiving and len(span) > 3 and (close := difflib.get_close_matches(span, names, 1, _CLOSE)):
            return names[close[0]]
    return None


def spoken(label: str, count: int, language: str) -> str:
    """The label with its number: "an apple", "two ducks", "une pomme", "deux canards"."""
    if language == "fr":
        name, gender = FRENCH.get(label, (label, "m"))
        if count == 1:
            return f"{'une' if gender == 'f' else 'un'} {name}"
        return f"{_number(count, _FRENCH_NUMBERS)} {_french_plural(name)}"
    if count == 1:
        return f"{'an' if label[:1].lower() in 'aeiou' else 'a'} {label}"
    return f"{_number(count, _ENGLISH_NUMBERS)} {_english_plural(label)}"


def definite(label: str, language: str) -> str:
    """The label with its article: "the apple", "la pomme", "l'orange"."""
    if language != "fr":
        return f"the {label}"
    name, gender = FRENCH.get(label, (label, "m"))
    if plain(name)[:1] in set("aeiouh"):
        return f"l'{name}"
    return f"{'la' if gender == 'f' else 'le'} {name}"


def indefinite_of(label: str, language: str) -> str:
    """The label after "I do not see": "an apple", "de pomme", "d'orange"."""
    if language != "fr":
        return spoken(label, 1, "en")
    name = FRENCH.get(label, (label, "m"))[0]
    return f"d'{name}" if plain(name)[:1] in set("aeiou") else f"de {name}"


def listed(parts: list[str], language: str) -> str:
    """Joins with commas and a last "and" or "et"."""
    joint = " et " if language == "fr" else " and "
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + joint + parts[-1]


def _singulars(word: str) -> list[str]:
    forms = [word]
    if word.endswith("ies"):
        forms.append(word[:-3] + "y")
    if word.endswith("ves"):
        forms.append(word[:-3] + "fe")
    if word.endswith("es"):
        forms.append(word[:-2])
    if word.endswith(("s", "x")):
        forms.append(word[:-1])
    return forms


def _number(count: int, names: tuple[str, ...]) -> str:
    return names[count] if count < len(names) else str(count)


def _english_plural(label: str) -> str:
    irregular = {"person": "people", "mouse": "mice", "knife": "knives", "scissors": "scissors"}
    if label in irregular:
        return irregular[label]
    if label.endswith(("s", "x", "ch", "sh")):
        return label + "es"
    if label.endswith("y") and label[-2:-1] not in set("aeiou"):
        return label[:-1] + "ies"
    return label + "s"


def _french_plural(name: str) -> str:
    head, space, tail = name.partition(" ")
    if not head.endswith(("s", "x", "z")):
        head += "x" if head.endswith("eau") else "s"
    return head + space + tail
