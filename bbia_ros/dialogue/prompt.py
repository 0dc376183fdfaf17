"""What the language model is given: who it is, what the robot perceives and knows, and the last turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bbia_ros.dialogue.labels import listed, spoken
from bbia_ros.dialogue.memory import Message
from bbia_ros.dialogue.scene import View
from bbia_ros.wording import plain, word_set

CHARACTERS_PER_TOKEN = 3.0
"""Fewer than any text in English or French has, so that a prompt that passes the estimate fits."""

LANGUAGE_NAMES = {"en": "English", "fr": "French"}

_ABOUT_SURROUNDINGS = word_set(
    "see table object objects thing things here there around room front you robot apple duck croissant look"
    " vois table objet objets chose ici autour devant tu robot regarde"
)


@dataclass(frozen=True)
class PromptSettings:
    """How prompts are made.

    Attributes:
        persona: First sentences of the system message.
        history: Messages of the running conversation that go along.
        context_tokens: What the model can hold, prompt and answer together.
        answer_tokens: Longest answer.
    """

    persona: str
    history: int
    context_tokens: int
    answer_tokens: int


def composed(history: Sequence[Message]) -> list[Message]:
    """The exchanges that the language model answered itself.

    What a rule answered is left out: those answers are short and fixed, and a small model falls in with them.
    (SmolLM2-135M asked about the moon, 12 seeds: 67 tokens in the median without such an exchange, 36 with one.)
    """
    kept: list[Message] = []
    for message in history:
        if message.role == "robot" and message.source != "chat":
            while kept and kept[-1].role == "user":
                kept.pop()
        else:
            kept.append(message)
    return kept


def build_prompt(
    text: str,
    language: str,
    settings: PromptSettings,
    history: Sequence[Message],
    view: View,
    person: str = "",
    facts: Sequence[str] = (),
    user_feeling: str = "",
) -> list[dict[str, str]]:
    """The messages for one answer, cut to what the model can hold, oldest turns first; see `composed` for which turns.

    Args:
        text: What the person just said.
        language: Language to answer in.
        settings: See there.
        history: Turns before this one, oldest first.
        view: What is perceived; told to the model only when the text is about it, because a small model talks about
            whatever stands in its prompt.
        person: The person's name.
        facts: What the person asked to remember.
        user_feeling: Emotion read from the person, or empty.
    """
    about = [settings.persona.strip()]
    if language != "en":
        about.append(f"Answer in {LANGUAGE_NAMES.get(language, language)}.")
    if person:
        about.append(f"You talk with {person}.")
    if facts:
        about.append(f"{person or 'The person'} told you: {'; '.join(facts[-3:])}.")
    if user_feeling not in ("", "neutral"):
        about.append(f"The person seems {user_feeling}.")
    things = view.counts()
    if things and _ABOUT_SURROUNDINGS.intersection(plain(text).split()):
        about.append(f"You see {listed([spoken(label, count, 'en') for label, count in things.items()], 'en')}.")
    system = " ".join(about)

    room = (settings.context_tokens - settings.answer_tokens) * CHARACTERS_PER_TOKEN - len(system)
    question = text.strip()[-max(100, int(room)) :]
    room -= len(question)
    turns: list[dict[str, str]] = []
    told = composed(history)
    for message in reversed(told[-settings.history :] if settings.history else []):
        room -= len(message.text) + 4 * CHARACTERS_PER_TOKEN
        if room < 0:
            break
        turns.insert(0, {"role": "assistant" if message.role == "robot" else "user", "content": message.text})
    while turns and turns[0]["role"] == "assistant":
        turns.pop(0)
    return [{"role": "system", "content": system}, *turns, {"role": "user", "content": question}]
