"""Answers that need no language model: one rule per intent, in English and French."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bbia_ros.dialogue import tools
from bbia_ros.dialogue.answers import (
    CLOCK,
    EXPRESS,
    FORGET,
    LOOK_AT,
    MEMORY,
    PLAY_MOVE,
    SET_MODE,
    STOP,
    Action,
    Answer,
)
from bbia_ros.dialogue.intents import FEELING_OF, Intent, Understanding, understand
from bbia_ros.dialogue.labels import find_label
from bbia_ros.dialogue.phrases import PHRASES, say_date, say_time
from bbia_ros.dialogue.scene import View
from bbia_ros.wording import plain

_DIRECTIONS = {
    "left": "left",
    "right": "right",
    "up": "up",
    "upwards": "up",
    "down": "down",
    "downwards": "down",
    "ahead": "ahead",
    "straight": "ahead",
    "gauche": "left",
    "droite": "right",
    "haut": "up",
    "bas": "down",
    "devant": "ahead",
    "droit": "ahead",
}
_NO_HELLO = ("sleep", "stop", "how_are_you", "repeat")
_LOSS = ("died", "dead", "passed away", "mort", "morte", "decede", "decedee", "lost my")


@dataclass(frozen=True)
class Situation:
    """What rules may look at.

    Attributes:
        view: What is perceived.
        mood: Label of the robot's own mood.
        clock: Local time.
        person: Name of the person, if they told it.
        facts: What the person asked to remember.
        last_answer: What the robot said before.
        turn: Number of the turn; picks among phrasings, so that the robot does not repeat itself.
        moves: Move names: "dance" and "nod".
    """

    view: View
    mood: str
    clock: datetime
    person: str = ""
    facts: Sequence[str] = ()
    last_answer: str = ""
    turn: int = 0
    moves: Mapping[str, str] = field(default_factory=lambda: {"dance": "dance", "nod": "nod"})


def answer(text: str, language: str, situation: Situation) -> Answer | None:
    """The answer that the rules have for an utterance.

    Args:
        text: As heard or typed.
        language: ISO 639-1 code of the recogniser, or empty.
        situation: What is perceived and known.

    Returns:
        None when no rule applies: it is for the language model.
    """
    understood = understand(text, language)
    if not understood.complete:
        return None
    if understood.main is None:
        return _courtesy(understood.social, situation) if understood.social else None
    found = _RULES[understood.main.name](understood.main, text, situation)
    return None if found is None else _with_courtesy(found, understood, situation)


def _phrase(name: str, language: str, situation: Situation, /, **slots: str) -> str:
    variants = PHRASES[name][language]
    return variants[situation.turn % len(variants)].format(**slots)


def _courtesy(intent: Intent, situation: Situation) -> Answer:
    name = intent.name
    if name == "greet" and situation.person:
        return Answer(_phrase("greet_named", intent.language, situation, name=situation.person), intent.language)
    return Answer(_phrase(name, intent.language, situation), intent.language)


def _with_courtesy(found: Answer, understood: Understanding, situation: Situation) -> Answer:
    """Puts a short greeting before the answer to a greeting with a question."""
    main, social = understood.main, understood.social
    if social is None or social.name != "greet" or (main is not None and main.name in _NO_HELLO):
        return found
    hello = PHRASES["greet_short"][found.language][0]
    return Answer(f"{hello} {found.text}".strip(), found.language, found.tool, found.action)


def _fixed(name: str, tool: str = "", action: Action | None = None) -> Callable[[Intent, str, Situation], Answer]:
    def rule(intent: Intent, text: str, situation: Situation) -> Answer:
        return Answer(_phrase(name, intent.language, situation), intent.language, tool, action)

    return rule


def _look_direction(intent: Intent, text: str, situation: Situation) -> Answer:
    direction = _DIRECTIONS[intent.slots["direction"]]
    return Answer(
        _phrase(f"look_{direction}", intent.language, situation),
        intent.language,
        LOOK_AT,
        Action(LOOK_AT, {"direction": direction}),
    )


def _look_me(intent: Intent, text: str, situation: Situation) -> Answer:
    if situation.view.watching_people and situation.view.people == 0:
        return Answer(_phrase("look_me_unseen", intent.language, situation), intent.language, LOOK_AT)
    return Answer(
        _phrase("look_me", intent.language, situation), intent.language, LOOK_AT, Action(LOOK_AT, {"target": "face"})
    )


def _locate(intent: Intent, text: str, situation: Situation) -> Answer | None:
    return tools.locate(intent.slots["target"], situation.view, intent.language)


def _count(intent: Intent, text: str, situation: Situation) -> Answer | None:
    words = intent.slots["target"]
    about_view = {"things", "objects", "thing", "object", "items", "choses", "objets"}.intersection(words.split())
    if not about_view and find_label(words, situation.view.counts()) is None:
        return None  # "how many planets are there" is for the language model
    return tools.count_things(words, situation.view, intent.language)


def _move(name: str) -> Callable[[Intent, str, Situation], Answer]:
    def rule(intent: Intent, text: str, situation: Situation) -> Answer:
        action = Action(PLAY_MOVE, {"move": situation.moves[name]})
        return Answer(_phrase(name, intent.language, situation), intent.language, PLAY_MOVE, action)

    return rule


def _express(intent: Intent, text: str, situation: Situation) -> Answer:
    label = FEELING_OF[intent.slots["feeling"]]
    action = Action(EXPRESS, {"label": label, "intensity": 0.9})
    words = PHRASES[f"feel_{label}"][intent.language][0]
    return Answer(words, intent.language, EXPRESS, action)


def _time(intent: Intent, text: str, situation: Situation) -> Answer:
    return Answer(say_time(situation.clock, intent.language), intent.language, CLOCK)


def _date(intent: Intent, text: str, situation: Situation) -> Answer:
    return Answer(say_date(situation.clock, intent.language), intent.language, CLOCK)


def _my_name(intent: Intent, text: str, situation: Situation) -> Answer:
    name = intent.slots["name"].title()
    action = Action(MEMORY, {"name": name})
    return Answer(_phrase("my_name", intent.language, situation, name=name), intent.language, MEMORY, action)


def _remember(intent: Intent, text: str, situation: Situation) -> Answer:
    fact = _original_words(text, intent.slots["fact"])
    return Answer(
        _phrase("remember", intent.language, situation), intent.language, MEMORY, Action(MEMORY, {"fact": fact})
    )


def _about_me(intent: Intent, text: str, situation: Situation) -> Answer:
    if not situation.person and not situation.facts:
        return Answer(_phrase("about_me_nothing", intent.language, situation), intent.language, MEMORY)
    parts = []
    if situation.person:
        parts.append(_phrase("about_me_name", intent.language, situation, name=situation.person))
    if situation.facts:
        told = "; ".join(situation.facts[-3:])
        parts.append(_phrase("about_me_facts", intent.language, situation, facts=told))
    return Answer(" ".join(parts), intent.language, MEMORY)


def _how_are_you(intent: Intent, text: str, situation: Situation) -> Answer:
    moods = PHRASES.get(f"mood_{situation.mood}", PHRASES["mood_neutral"])
    return Answer(moods[intent.language][0], intent.language)


def _repeat(intent: Intent, text: str, situation: Situation) -> Answer:
    if not situation.last_answer:
        return Answer(_phrase("repeat_nothing", intent.language, situation), intent.language)
    return Answer(situation.last_answer, intent.language)


def _user_sad(intent: Intent, text: str, situation: Situation) -> Answer:
    words = f" {plain(text)} "
    name = "user_loss" if any(f" {loss} " in words for loss in _LOSS) else "user_sad"
    return Answer(_phrase(name, intent.language, situation), intent.language)


def _original_words(text: str, fact: str) -> str:
    """The end of the text that the plain words came from, with its own capitals and accents."""
    count = len(fact.split())
    return " ".join(text.replace("-", " ").split()[-count:]).strip(" .!?")


_RULES: dict[str, Callable[[Intent, str, Situation], Answer | None]] = {
    "forget_me": _fixed("forget_me", MEMORY, Action(FORGET)),
    "sleep": _fixed("sleep", SET_MODE, Action(SET_MODE, {"mode": "sleep"})),
    "wake_up": _fixed("wake_up"),
    "stop": _fixed("stop", STOP, Action(STOP)),
    "look_direction": _look_direction,
    "look_me": _look_me,
    "look_at": lambda intent, text, situation: tools.look_at(intent.slots["target"], situation.view, intent.language),
    "time": _time,
    "date": _date,
    "who": lambda intent, text, situation: tools.describe_people(situation.view, intent.language),
    "where": _locate,
    "count": _count,
    "see": lambda intent, text, situation: tools.describe_things(situation.view, intent.language),
    "see_one": _locate,
    "dance": _move("dance"),
    "nod": _move("nod"),
    "my_name": _my_name,
    "about_me": _about_me,
    "remember": _remember,
    "express": _express,
    "how_are_you": _how_are_you,
    "your_name": _fixed("your_name"),
    "help": _fixed("help"),
    "repeat": _repeat,
    "joke": _fixed("joke"),
    "user_sad": _user_sad,
    "user_afraid": _fixed("user_afraid"),
    "user_angry": _fixed("user_angry"),
    "user_happy": _fixed("user_happy"),
}
