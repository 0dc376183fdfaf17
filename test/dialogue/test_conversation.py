from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bbia_ros.dialogue.conversation import Conversation, Done, Event, Fault, Piece, Sentence, Surroundings
from bbia_ros.dialogue.memory import ConversationMemory, Message
from bbia_ros.dialogue.prompt import CHARACTERS_PER_TOKEN, PromptSettings, build_prompt, composed
from bbia_ros.dialogue.scene import Thing, View
from bbia_ros.residency.errors import CallCancelled, LoadFailed, WorkerDied

SETTINGS = PromptSettings("You are Reachy.", 4, 1024, 96)
APPLE = Surroundings(View(True, (Thing("apple"),), (), True, 1))


class Model:
    """A language model of the test; an exception among its pieces is raised."""

    def __init__(self, *answers: list[Any]) -> None:
        self.answers, self.prompts = list(answers), list[list[dict[str, str]]]()

    def __call__(self, prompt: list[dict[str, str]]) -> Iterator[str]:
        self.prompts.append(prompt)
        for piece in self.answers.pop(0):
            if isinstance(piece, Exception):
                raise piece
            yield piece


def talk(model: Model, *texts: str, **settings: Any) -> tuple[Conversation, list[list[Event]]]:
    clock = iter(range(1, 10_000))
    conversation = Conversation(
        ConversationMemory(None), SETTINGS, model, wall_clock=lambda: float(next(clock)), **settings
    )
    return conversation, [list(conversation.respond(text, "en", APPLE)) for text in texts]


def done(events: Iterable[Event]) -> Done:
    found = [event for event in events if isinstance(event, Done)]
    assert len(found) == 1
    return found[0]


def spoken(events: Iterable[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Sentence)]


def test_rules_answer_without_the_model() -> None:
    model = Model()
    _, [events] = talk(model, "What do you see?")
    assert done(events).source == "rule"
    assert spoken(events) == ["I see an apple."]
    assert model.prompts == []


def test_sentences_come_while_the_model_writes() -> None:
    _, [events] = talk(Model(["The moon is", " round. It", " shines. 🌙"]), "Tell me something about the moon.")
    kinds = [type(event) for event in events]
    assert kinds == [Piece, Piece, Sentence, Piece, Sentence, Done]
    assert spoken(events) == ["The moon is round.", "It shines."]
    assert (done(events).source, done(events).tokens) == ("chat", 3)


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["The moon is round.", " It shines becau"], "The moon is round."),
        (["The moon is round.", " It shines."], "The moon is round. It shines."),
        (["The moon is", " round and"], "The moon is round and"),
        (["It is round.\n\n", "* bright"], "It is round."),
        (['It is "round."'], 'It is "round."'),
        (["It is round. 🌙"], "It is round."),
    ],
)
def test_a_sentence_that_was_not_finished_is_not_said(pieces: list[str], text: str) -> None:
    _, [events] = talk(Model(pieces), "Tell me something about the moon.")
    assert done(events).text == text
    assert " ".join(spoken(events)) == text


def test_the_model_hears_what_it_answered_before() -> None:
    model = Model(["It is round."], ["Because of gravity."])
    talk(model, "Tell me something about the moon.", "What is your name?", "And why is that so?")
    assert [message["content"] for message in model.prompts[1][1:]] == [
        "Tell me something about the moon.",
        "It is round.",
        "And why is that so?",
    ]


def test_one_death_of_the_worker_is_made_good_before_the_first_word() -> None:
    _, [events] = talk(Model([WorkerDied("gone")], ["It is round."]), "Tell me something about the moon.")
    assert done(events).text == "It is round."
    assert not [event for event in events if isinstance(event, Fault)]


def test_a_death_in_the_middle_is_told_once() -> None:
    _, [events] = talk(Model(["It is round. And", WorkerDied("killed")]), "Tell me something about the moon.")
    assert spoken(events) == ["It is round.", "I am sorry, I lost my train of thought."]
    assert done(events).text == "It is round. And I am sorry, I lost my train of thought."
    assert [event.reason for event in events if isinstance(event, Fault)] == ["killed"]


def test_a_model_that_does_not_load_is_an_apology_and_a_fault() -> None:
    _, [events] = talk(Model([LoadFailed("no such file")]), "Tell me something about the moon.")
    assert spoken(events) == ["I am sorry, I cannot think about that right now."]
    assert [event.reason for event in events if isinstance(event, Fault)] == ["no such file"]


def test_an_empty_answer_is_an_apology() -> None:
    _, [events] = talk(Model([]), "Tell me something about the moon.")
    assert spoken(events) == ["I am sorry, I cannot think about that right now."]


def test_a_cancelled_answer_is_remembered_as_far_as_it_got() -> None:
    conversation = Conversation(ConversationMemory(None), SETTINGS, Model(["It is round.", CallCancelled("off")]))
    events = conversation.respond("Tell me something about the moon.", "en", APPLE)
    with pytest.raises(CallCancelled):
        list(events)
    assert [message.text for message in conversation.memory.messages()][-1] == "It is round."


def test_does_not_pretend_to_speak_a_language_that_the_model_lacks() -> None:
    model = Model()
    _, [events] = talk(model, "Raconte-moi quelque chose sur la lune.")
    assert "français" in done(events).text
    assert model.prompts == []
    _, [events] = talk(
        Model(["Elle est ronde."]), "Raconte-moi quelque chose sur la lune.", chat_languages=("en", "fr")
    )
    assert done(events).text == "Elle est ronde."


def test_remembers_and_forgets_a_person() -> None:
    conversation, [_, _, events] = talk(Model(), "My name is Anna.", "Remember that I like tea.", "What is my name?")
    assert done(events).text == "You are Anna. You told me: I like tea."
    list(conversation.respond("Forget me", "en", APPLE))
    assert (conversation.memory.person, conversation.memory.messages()) == ("", [])


def test_prefetches_only_for_what_no_rule_answers() -> None:
    conversation, _ = talk(Model())
    assert conversation.needs_chat("Tell me something", "en")
    assert not conversation.needs_chat("What do you see", "en")
    assert not conversation.needs_chat("Hello", "en")
    assert not conversation.needs_chat("Raconte-moi quelque chose", "fr")


def test_prompt_tells_what_is_known_and_perceived() -> None:
    prompt = build_prompt("What is on this table?", "en", SETTINGS, [], APPLE.view, "Anna", ["I like tea"], "sad")
    system = prompt[0]["content"]
    for part in ("You are Reachy.", "Anna", "I like tea", "sad", "You see an apple."):
        assert part in system
    assert "apple" not in build_prompt("Tell me about Rome", "en", SETTINGS, [], APPLE.view)[0]["content"]
    assert "French" in build_prompt("Raconte", "fr", SETTINGS, [], APPLE.view)[0]["content"]


@given(
    st.lists(st.tuples(st.sampled_from(["user", "robot"]), st.text(max_size=2000)), max_size=12),
    st.text(max_size=8000),
    st.integers(0, 12),
)
def test_prompt_fits_into_the_model_whatever_was_said(turns: list[tuple[str, str]], text: str, history: int) -> None:
    settings = PromptSettings("You are Reachy.", history, 512, 100)
    messages = [Message(role, said, 1.0) for role, said in turns]
    prompt = build_prompt(text, "en", settings, messages, View())
    assert sum(len(message["content"]) for message in prompt) <= (512 - 100) * CHARACTERS_PER_TOKEN
    assert len(prompt) <= history + 2
    assert prompt[-1]["role"] == "user"
    assert len(prompt) == 2 or prompt[1]["role"] == "user"


def test_what_a_rule_answered_is_not_told_to_the_model() -> None:
    history = [
        Message("user", "what do you see", 1.0),
        Message("robot", "I see an apple.", 2.0, source="rule"),
        Message("user", "tell me a story", 3.0),
        Message("robot", "Once upon a time.", 4.0, source="chat"),
        Message("user", "thank you", 5.0),
    ]
    assert [message.text for message in composed(history)] == ["tell me a story", "Once upon a time.", "thank you"]
