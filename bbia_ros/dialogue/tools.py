"""Answers that are made from what the robot perceives, never from a language model's fancy."""

from __future__ import annotations

from bbia_ros.dialogue.answers import LOOK_AT, PEOPLE, SEE, Action, Answer
from bbia_ros.dialogue.labels import definite, find_label, indefinite_of, listed, spoken
from bbia_ros.dialogue.scene import View

_SIDES = {
    "en": {"left": "on my left", "right": "on my right", "ahead": "right in front of me"},
    "fr": {"left": "à ma gauche", "right": "à ma droite", "ahead": "juste devant moi"},
}
_NO_PICTURE = {
    "en": "I cannot see anything: my camera gives me no picture right now.",
    "fr": "Je ne vois rien : ma caméra ne me donne pas d'image en ce moment.",
}


def describe_things(view: View, language: str) -> Answer:
    """Names and numbers of what is in sight; says so when there is no camera or nothing to see."""
    if not view.watching:
        return Answer(_NO_PICTURE[language], language, SEE)
    counts = view.counts()
    if counts:
        things = listed([spoken(label, count, language) for label, count in counts.items()], language)
        return Answer(f"Je vois {things}." if language == "fr" else f"I see {things}.", language, SEE)
    if view.lately:
        things = listed([spoken(label, 1, language) for label in view.lately], language)
        if language == "fr":
            return Answer(f"En ce moment je ne vois rien, mais tout à l'heure j'ai vu {things}.", language, SEE)
        return Answer(f"Right now I see nothing, but a moment ago I saw {things}.", language, SEE)
    nothing = "Je ne vois rien que je connaisse." if language == "fr" else "I see nothing that I know."
    return Answer(nothing, language, SEE)


def describe_people(view: View, language: str) -> Answer:
    """How many people are in sight."""
    if not view.watching_people:
        return Answer(_NO_PICTURE[language], language, PEOPLE)
    if language == "fr":
        texts = ("Je ne vois personne.", "Je te vois, toi !", f"Je vois {view.people} personnes.")
    else:
        texts = ("I see nobody.", "I see you!", f"I see {view.people} people.")
    return Answer(texts[min(view.people, 2)], language, PEOPLE)


def look_at(words: str, view: View, language: str) -> Answer:
    """Turns to a thing by name, if it is in sight or was lately; otherwise says that it is not."""
    label = find_label(words, [*view.counts(), *view.lately], forgiving=True)
    if label is None:
        name = " ".join(words.split()[:2])
        text = f"Je ne connais pas cela : {name}." if language == "fr" else f"I do not know what that is: {name}."
        return Answer(text, language, LOOK_AT)
    if not view.watching and not view.lately:
        return Answer(_NO_PICTURE[language], language, LOOK_AT)
    if not view.knows(label):
        thing = indefinite_of(label, language)
        return Answer(f"Je ne vois pas {thing}." if language == "fr" else f"I do not see {thing}.", language, LOOK_AT)
    name = definite(label, language)
    text = f"Je regarde {name}." if language == "fr" else f"I am looking at {name}."
    return Answer(text, language, LOOK_AT, Action(LOOK_AT, {"target": label}))


def count_things(words: str, view: View, language: str) -> Answer:
    """How many of one kind, or of all, are in sight."""
    if not view.watching:
        return Answer(_NO_PICTURE[language], language, SEE)
    counts = view.counts()
    label = find_label(words, counts)
    if label is None:
        return describe_things(view, language)
    if not counts.get(label):
        thing = indefinite_of(label, language)
        return Answer(f"Je ne vois pas {thing}." if language == "fr" else f"I do not see {thing}.", language, SEE)
    things = spoken(label, counts[label], language)
    return Answer(f"Je vois {things}." if language == "fr" else f"I see {things}.", language, SEE)


def locate(words: str, view: View, language: str) -> Answer | None:
    """Whether and on which side a thing is; None when the words name nothing that a detector could know."""
    label = find_label(words, view.counts())
    if label is None:
        return None
    if not view.watching:
        return Answer(_NO_PICTURE[language], language, SEE)
    sides = [_SIDES[language].get(thing.side, "") for thing in view.things if thing.label == label]
    if not sides:
        if label in view.lately:
            thing = definite(label, language)
            text = (
                f"Je ne vois plus {thing}, mais je viens de le voir."
                if language == "fr"
                else f"I do not see {thing} any more, but I saw it a moment ago."
            )
            return Answer(text, language, SEE)
        thing = indefinite_of(label, language)
        return Answer(f"Je ne vois pas {thing}." if language == "fr" else f"I do not see {thing}.", language, SEE)
    places = listed(list(dict.fromkeys(side for side in sides if side)) or [""], language)
    things = spoken(label, len(sides), language)
    start = f"Je vois {things}" if language == "fr" else f"I see {things}"
    return Answer(f"{start} {places}.".replace(" .", "."), language, SEE)
