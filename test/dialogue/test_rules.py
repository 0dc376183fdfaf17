"""What people say, and as Whisper tiny hears it, against what the robot answers and does."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bbia_ros.dialogue.answers import Action, Answer
from bbia_ros.dialogue.intents import PATTERNS, SOCIAL, guess_language, understand
from bbia_ros.dialogue.phrases import PHRASES, say_date, say_time
from bbia_ros.dialogue.rules import _RULES, Situation, answer
from bbia_ros.dialogue.scene import Thing, View

TABLE = View(True, (Thing("apple", 0.5), Thing("croissant", 0.0), Thing("duck", -0.5)), ("cup",), True, 1)
NOW = datetime(2026, 11, 22, 8, 5)


def ask(text: str, view: View = TABLE, language: str = "", **more: Any) -> Answer | None:
    return answer(text, language, Situation(view, more.pop("mood", "neutral"), NOW, **more))


def told(text: str, view: View = TABLE, **more: Any) -> Answer:
    found = ask(text, view, **more)
    assert found is not None, f"no rule answers {text!r}"
    return found


@pytest.mark.parametrize(
    "text",
    [
        "Hello robot, what do you see on the table?",
        "What do you see on the table",
        "What do you sea in the table.",
        "Hello, Robert. What can you see?",
        "what's on the table",
        "Tell me what you see.",
        "Bonjour, que vois-tu sur la table ?",
        "Qu'est-ce que tu vois ?",
    ],
)
def test_tells_what_is_seen(text: str) -> None:
    found = told(text)
    assert found.tool == "see"
    names = ("pomme", "croissant", "canard") if found.language == "fr" else ("apple", "croissant", "duck")
    assert all(name in found.text for name in names)


def test_greeting_and_question_are_both_answered() -> None:
    assert told("Hello robot, what do you see?").text == "Hello! I see an apple, a croissant and a duck."
    assert told("What do you see?").text == "I see an apple, a croissant and a duck."


def test_nothing_is_invented() -> None:
    assert "no picture" in told("What do you see?", View()).text
    assert told("What do you see?", View(True)).text == "I see nothing that I know."
    assert "a moment ago I saw a cup" in told("What do you see?", View(True, (), ("cup",))).text
    assert "no picture" in told("Who is there?", View()).text
    assert told("Who is there?", View(watching_people=True)).text == "I see nobody."
    assert told("Who is there?", View(watching_people=True, people=3)).text == "I see 3 people."


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("Please look at the apple.", "apple"),
        ("Look at the Apple.", "apple"),
        ("Please, look at the Appel", "apple"),
        ("luck at the croissant", "croissant"),
        ("look at the quasas.", "croissant"),
        ("Could you look at the small duck now?", "duck"),
        ("Regarde la pomme, s'il te plaît.", "apple"),
        ("Regarde le canard", "duck"),
        ("Look at the cup", "cup"),
        ("Look at me", "face"),
        ("Regarde-moi", "face"),
    ],
)
def test_looks_at_things_by_name(text: str, target: str) -> None:
    found = told(text)
    assert found.action == Action("look_at", {"target": target})


def test_does_not_look_at_what_is_not_there() -> None:
    for text in ("Look at the banana", "Look at the flux capacitor"):
        assert told(text).action is None
    assert told("Look at the banana").text == "I do not see a banana."
    assert told("Look at me", View(watching_people=True)).action is None
    assert told("look to the left").action == Action("look_at", {"direction": "left"})


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("Good night, go to sleep.", Action("set_mode", {"mode": "sleep"})),
        ("Goodnight. Go too sleep", Action("set_mode", {"mode": "sleep"})),
        ("Bonne nuit, va dormir.", Action("set_mode", {"mode": "sleep"})),
        ("Stop!", Action("stop")),
        ("Arrête", Action("stop")),
        ("Can you dance for me?", Action("play_move", {"move": "dance"})),
        ("Not your head.", Action("play_move", {"move": "nod"})),
        ("We happy.", Action("express", {"label": "happy", "intensity": 0.9})),
        ("Hoche la tête", Action("play_move", {"move": "nod"})),
        ("Be happy!", Action("express", {"label": "happy", "intensity": 0.9})),
        ("Show me a sad face", Action("express", {"label": "sad", "intensity": 0.9})),
        ("Sois triste", Action("express", {"label": "sad", "intensity": 0.9})),
        ("My name is Anna.", Action("memory", {"name": "Anna"})),
        ("Please remember that I like green Tea.", Action("memory", {"fact": "I like green Tea"})),
        ("Forget me", Action("forget")),
        ("Oublie-moi", Action("forget")),
    ],
)
def test_commands(text: str, action: Action) -> None:
    found = told(text)
    assert found.action is not None
    assert (found.action.name, dict(found.action.arguments)) == (action.name, dict(action.arguments))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("I am so sad, my old dog died.", "sorry for your loss"),
        ("I'm so sad. My old dog died", "sorry for your loss"),
        ("I feel lonely", "sad"),
        ("You are wonderful, thank you!", "happy"),
        ("Your wonderful. Thank you.", "appy"),
        ("You are stupid", "hurts"),
        ("I am scared of the dark", "here with you"),
        ("Je suis tellement triste, mon chien est mort.", "désolé"),
        ("Tu es formidable, merci !", "heureux"),
        ("Hello", "Hello"),
        ("Hi there, Reachy!", "Hello"),
        ("What is your name?", "Reachy"),
        ("Who are you?", "Reachy"),
        ("What time is it?", "8 oh 5"),
        ("Quelle heure est-il ?", "8 heures 5"),
        ("What day is it today?", "Sunday, November 22"),
        ("How are you?", "fine"),
        ("Where is the duck?", "on my right"),
        ("Do you see the apple?", "on my left"),
        ("How many ducks do you see?", "a duck"),
        ("What can you do?", "dance"),
        ("Say that again", "I have not said anything"),
    ],
)
def test_small_talk(text: str, part: str) -> None:
    assert part in told(text).text


@pytest.mark.parametrize(
    "text",
    [
        "Tell me something about the moon.",
        "Hello robot, tell me something about elephants.",
        "What is the capital of France?",
        "Why is the sky blue?",
        "I wake up at seven every morning",
        "I like to look for mushrooms in the forest",
        "What is the time difference between Paris and Tokyo?",
        "How many planets are there?",
        "Where is the Eiffel tower?",
        "What do you think about apples?",
        "Raconte-moi quelque chose sur la lune.",
        "",
    ],
)
def test_free_questions_are_left_to_the_language_model(text: str) -> None:
    assert ask(text) is None


def test_what_was_told_is_told_again() -> None:
    assert told("What is my name?").text == "You have not told me anything about yourself yet."
    text = told("What do you know about me?", person="Anna", facts=("I like tea",)).text
    assert text == "You are Anna. You told me: I like tea."
    assert told("Hello", person="Anna").text.startswith("Hello Anna!")
    assert told("Repeat that", last_answer="I see a duck.").text == "I see a duck."
    assert "happy" in told("How are you?", mood="happy").text


def test_language_follows_the_words_more_than_the_hint() -> None:
    assert guess_language("Que vois-tu sur la table ?", "en") == "fr"
    assert guess_language("What do you see?", "fr") == "en"
    assert guess_language("Croissant", "fr") == "fr"


def test_every_rule_and_courtesy_has_its_words_in_both_languages() -> None:
    assert {name for name, _, _ in SOCIAL} <= set(PHRASES)
    for name, variants in PHRASES.items():
        assert set(variants) == {"en", "fr"}, name
    assert _RULES.keys() == {name for name, _, _ in PATTERNS}


@given(st.text(max_size=120))
def test_no_words_break_the_rules(text: str) -> None:
    understand(text)
    found = ask(text)
    assert found is None or found.language in ("en", "fr")


@given(st.datetimes(min_value=datetime(2020, 1, 1)), st.sampled_from(["en", "fr"]))
def test_any_time_can_be_spoken(clock: datetime, language: str) -> None:
    assert say_time(clock, language).endswith(".")
    assert say_date(clock, language).endswith(".")
