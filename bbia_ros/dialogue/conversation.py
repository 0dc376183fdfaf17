"""One turn of a conversation, from the words heard to the sentences to say. No ROS."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bbia_ros.dialogue.answers import FORGET, MEMORY, Action
from bbia_ros.dialogue.intents import guess_language
from bbia_ros.dialogue.memory import ConversationMemory, Message
from bbia_ros.dialogue.phrases import PHRASES
from bbia_ros.dialogue.prompt import PromptSettings, build_prompt
from bbia_ros.dialogue.rules import Situation, answer
from bbia_ros.dialogue.scene import View
from bbia_ros.dialogue.sentences import SentenceSplitter, speakable
from bbia_ros.residency.errors import CallCancelled, LeaseReleased, ResidencyError, WorkerDied

CONTEXT_MESSAGES = 50
"""Newest messages among which those for the prompt are chosen."""
FIRST_CLAUSE_WORDS = 3
"""Words that a generated answer must have before its first clause is spoken ahead of the rest of its sentence."""
_ENDINGS = (".", "!", "?", "…")

Chat = Callable[[list[dict[str, str]]], Iterable[str]]
"""Streams the language model's answer to a prompt."""


@dataclass(frozen=True)
class Piece:
    """A new piece of the answer's text."""

    text: str


@dataclass(frozen=True)
class Sentence:
    """A sentence that can be spoken; a generated answer begins with its first clause."""

    text: str
    language: str


@dataclass(frozen=True)
class Fault:
    """The language model did not do its work; the answer says so in its own words."""

    reason: str


@dataclass(frozen=True)
class Done:
    """The end of an answer.

    Attributes:
        text: The whole answer.
        language: "en" or "fr".
        source: rule or chat.
        tool: Tool that was used, or empty.
        action: What the robot does besides, or None.
        tokens: Pieces that the language model gave; 0 for a rule.
        first_token_s: From the request to the first piece [s].
        duration_s: From the request to the last piece [s].
    """

    text: str
    language: str
    source: str
    tool: str = ""
    action: Action | None = None
    tokens: int = 0
    first_token_s: float = 0.0
    duration_s: float = 0.0


Event = Piece | Sentence | Fault | Done


@dataclass(frozen=True)
class Surroundings:
    """What is known besides the words.

    Attributes:
        view: What is perceived.
        mood: The robot's own.
        user_feeling: Read from the person, or empty.
    """

    view: View = field(default_factory=View)
    mood: str = "neutral"
    user_feeling: str = ""


class Conversation:
    """Answers one text after the other; rules first, the language model for the rest.

    Args:
        memory: Where turns are kept.
        settings: For prompts.
        chat: The language model.
        chat_languages: Languages that it can answer in.
        moves: Move names for "dance" and "nod".
        wall_clock: Unix time [s].
    """

    def __init__(
        self,
        memory: ConversationMemory,
        settings: PromptSettings,
        chat: Chat,
        chat_languages: tuple[str, ...] = ("en",),
        moves: Mapping[str, str] | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.memory = memory
        self._settings, self._chat, self._chat_languages = settings, chat, chat_languages
        self._moves = dict(moves or {"dance": "dance", "nod": "nod"})
        self._wall_clock = wall_clock
        self._turn = 0

    def needs_chat(self, text: str, language: str) -> bool:
        """Whether no rule would answer this text, so that the language model is worth loading."""
        situation = Situation(View(), "neutral", datetime.fromtimestamp(self._wall_clock()))
        return (
            len(text.split()) > 1
            and guess_language(text, language) in self._chat_languages
            and answer(text, language, situation) is None
        )

    def respond(self, text: str, language: str, around: Surroundings) -> Iterator[Event]:
        """Yields pieces and sentences as they come, then one Done. Close it to break off.

        What was said until then is kept in memory, also when it was broken off.

        Raises:
            CallCancelled, LeaseReleased: The language model was taken away on purpose.
        """
        self._turn += 1
        heard_language = guess_language(text, language)
        known = answer(text, language, self._situation(around))
        history = self.memory.context(CONTEXT_MESSAGES)
        self._keep("user", text, heard_language)
        if known is not None:
            yield Piece(known.text)
            yield from (Sentence(part, known.language) for part in _sentences(known.text))
            self._remember(known.action)
            if known.action is None or known.action.name != FORGET:
                self._keep("robot", known.text, known.language, "rule")
            yield Done(known.text, known.language, "rule", known.tool, known.action)
        elif heard_language not in self._chat_languages:
            yield from self._apologise("no_model_language", heard_language, "rule")
        else:
            yield from self._generate(text, heard_language, around, history)

    def _situation(self, around: Surroundings) -> Situation:
        last = next((m.text for m in reversed(self.memory.context(10)) if m.role == "robot"), "")
        return Situation(
            around.view,
            around.mood,
            datetime.fromtimestamp(self._wall_clock()),
            self.memory.person,
            self.memory.facts,
            last,
            self._turn - 1,
            self._moves,
        )

    def _generate(self, text: str, language: str, around: Surroundings, history: list[Message]) -> Iterator[Event]:
        prompt = build_prompt(
            text,
            language,
            self._settings,
            history,
            around.view,
            self.memory.person,
            self.memory.facts,
            around.user_feeling,
        )
        splitter, said = SentenceSplitter(clause_words=FIRST_CLAUSE_WORDS), ""
        tokens, first, started = 0, 0.0, time.monotonic()
        failure = ""
        try:
            for attempt in (1, 2):
                try:
                    for piece in self._chat(prompt):
                        tokens += 1
                        first = first or time.monotonic() - started
                        said += piece
                        yield Piece(piece)
                        yield from _spoken(splitter.feed(piece), language)
                    break
                except WorkerDied:
                    if attempt == 2 or said:
                        raise
            said = _without_fragment(said, splitter)
            yield from _spoken(splitter.flush(), language)
        except (CallCancelled, LeaseReleased):
            raise
        except ResidencyError as error:
            failure = str(error)
            yield Fault(failure)
        finally:
            if not failure:
                self._keep("robot", said.strip(), language, "chat")
        if failure or not said.strip():
            yield from self._apologise("chat_lost" if said else "chat_failed", language, "chat", said)
            return
        yield Done(said.strip(), language, "chat", "", None, tokens, first, time.monotonic() - started)

    def _apologise(self, phrase: str, language: str, source: str, said: str = "") -> Iterator[Event]:
        words = PHRASES[phrase].get(language, PHRASES[phrase]["en"])[0]
        whole = f"{said.strip()} {words}".strip()
        yield Piece(words if not said else f" {words}")
        yield Sentence(words, language)
        self._keep("robot", whole, language, source)
        yield Done(whole, language, source)

    def _keep(self, role: str, text: str, language: str, source: str = "") -> None:
        self.memory.add(Message(role, text, self._wall_clock(), language, source))

    def _remember(self, action: Action | None) -> None:
        """Carries out what concerns the memory itself."""
        if action is None:
            return
        if action.name == FORGET:
            self.memory.forget()
        elif action.name == MEMORY and "name" in action.arguments:
            self.memory.remember_name(str(action.arguments["name"]))
        elif action.name == MEMORY and "fact" in action.arguments:
            self.memory.remember(str(action.arguments["fact"]))


def _without_fragment(said: str, splitter: SentenceSplitter) -> str:
    """Drops a last sentence that the model had no tokens left to end, unless it is all there is."""
    rest = splitter.rest
    if not rest or rest.rstrip("\"'»”)] ").endswith(_ENDINGS) or not (before := said.rstrip()[: -len(rest)].rstrip()):
        return said
    splitter.flush()
    return before


def _sentences(text: str) -> list[str]:
    splitter = SentenceSplitter()
    return [words for part in [*splitter.feed(text), *splitter.flush()] if (words := speakable(part))]


def _spoken(sentences: list[str], language: str) -> Iterator[Sentence]:
    for sentence in sentences:
        if words := speakable(sentence):
            yield Sentence(words, language)
