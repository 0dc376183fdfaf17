"""What the robot remembers: the conversation, and what the person asked it to keep."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bbia_ros.dialogue.journal import Journal

MAX_MESSAGES = 1000
MAX_FACTS = 50
LOAD_WAIT_S = 0.5
"""Longest wait for the saved conversation when it is asked for right after the start [s]."""


@dataclass(frozen=True)
class Message:
    """One turn of the conversation.

    Attributes:
        role: "user" or "robot".
        text: What was said.
        stamp: Unix time [s].
        language: "en" or "fr".
        source: rule or chat, for the robot's.
    """

    role: str
    text: str
    stamp: float
    language: str = "en"
    source: str = ""


class ConversationMemory:
    """At most 1000 messages and 50 facts, in memory and, if a folder is given, on disk across restarts.

    Adding never waits for the disk. Reading what an earlier run saved happens in a thread at the start. Thread-safe.

    Args:
        folder: Where to keep it; None: only in memory.
        max_messages: Messages kept in memory.
        compress_bytes: Size at which the file is compressed.
        on_error: Told, from another thread, one sentence when the disk fails.
        on_recovery: Told when it works again.
    """

    def __init__(
        self,
        folder: Path | None,
        max_messages: int = MAX_MESSAGES,
        compress_bytes: int = 1_000_000,
        on_error: Callable[[str], None] | None = None,
        on_recovery: Callable[[], None] | None = None,
    ) -> None:
        self._messages: deque[Message] = deque(maxlen=max_messages)
        self._facts: deque[str] = deque(maxlen=MAX_FACTS)
        self._person = ""
        self._lock = threading.Lock()
        self._context_from = 0.0
        self._loaded = threading.Event()
        self._journals: list[Journal] = []
        if folder is None:
            self._loaded.set()
            return
        self._conversation = Journal(folder, "conversation", compress_bytes, on_error=on_error, on_recovery=on_recovery)
        self._known = Journal(folder, "person", compress_bytes, 1, on_error=on_error, on_recovery=on_recovery)
        self._journals = [self._conversation, self._known]
        threading.Thread(target=self._load, name="memory-load", daemon=True).start()

    @property
    def person(self) -> str:
        """The person's name; empty if they never told it."""
        self._loaded.wait(LOAD_WAIT_S)
        with self._lock:
            return self._person

    @property
    def facts(self) -> tuple[str, ...]:
        """What the person asked to remember, oldest first."""
        self._loaded.wait(LOAD_WAIT_S)
        with self._lock:
            return tuple(self._facts)

    def add(self, message: Message) -> None:
        """Adds a message; an empty one is ignored."""
        if not message.text.strip():
            return
        with self._lock:
            self._messages.append(message)
        if self._journals:
            self._conversation.append(
                {
                    "role": message.role,
                    "text": message.text,
                    "stamp": round(message.stamp, 3),
                    "language": message.language,
                    "source": message.source,
                }
            )

    def messages(self) -> list[Message]:
        """Everything kept, oldest first."""
        self._loaded.wait(LOAD_WAIT_S)
        with self._lock:
            return list(self._messages)

    def context(self, count: int) -> list[Message]:
        """The newest messages of the running conversation, oldest first."""
        return [message for message in self.messages() if message.stamp > self._context_from][-count:] if count else []

    def start_anew(self, now: float | None = None) -> None:
        """The running conversation ends: earlier messages are kept but no longer part of the context."""
        self._context_from = time.time() if now is None else now

    def remember_name(self, name: str) -> None:
        """Keeps the person's name."""
        with self._lock:
            self._person = name
        if self._journals:
            self._known.append({"name": name})

    def remember(self, fact: str) -> None:
        """Keeps a fact; the oldest of 50 goes."""
        with self._lock:
            if fact in self._facts:
                return
            self._facts.append(fact)
        if self._journals:
            self._known.append({"fact": fact})

    def forget(self) -> None:
        """Erases the person: name, facts and the whole conversation, in memory and on disk."""
        self._loaded.wait(LOAD_WAIT_S)
        with self._lock:
            self._person = ""
            self._facts.clear()
            self._messages.clear()
        for journal in self._journals:
            journal.erase()

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Waits until everything is on disk."""
        return all(journal.flush(timeout_s) for journal in self._journals)

    def close(self) -> bool:
        """Saves what waits; False when the disk did not take it in time."""
        saved = [journal.close() for journal in self._journals]  # each must be closed, also after one that failed
        return all(saved)

    def _load(self) -> None:
        try:
            earlier = [_message(entry) for entry in self._conversation.read(self._messages.maxlen or MAX_MESSAGES)]
            known = self._known.read(10 * MAX_FACTS)
            with self._lock:
                added = list(self._messages)
                self._messages.clear()
                self._messages.extend([message for message in earlier if message is not None and message not in added])
                self._messages.extend(added)
                for entry in known:
                    if isinstance(entry.get("name"), str):
                        self._person = entry["name"]
                    fact = entry.get("fact")
                    if isinstance(fact, str) and fact not in self._facts:
                        self._facts.append(fact)
        finally:
            self._loaded.set()


def _message(entry: dict[str, Any]) -> Message | None:
    try:
        return Message(
            str(entry["role"]),
            str(entry["text"]),
            float(entry["stamp"]),
            str(entry.get("language", "en")),
            str(entry.get("source", "")),
        )
    except (KeyError, TypeError, ValueError):
        return None
