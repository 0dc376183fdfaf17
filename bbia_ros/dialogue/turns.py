"""The turns in progress: one is being answered, the newest wins."""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

PROGRESS_S = 0.1
"""Partial texts are passed on at most this often [s]."""


@dataclass(frozen=True)
class Outcome:
    """How a turn ended.

    Attributes:
        ok: It was answered to the end.
        message: Why not.
        text: The answer, as far as it got.
        source: rule or chat; empty if it never began.
        tool: Tool that was used, or empty.
        tokens: Pieces that the language model gave.
        first_token_s: From the start of the turn to the first piece, loading included [s].
        tokens_per_s: Of the language model, from its first piece on.
    """

    ok: bool
    message: str = ""
    text: str = ""
    source: str = ""
    tool: str = ""
    tokens: int = 0
    first_token_s: float = 0.0
    tokens_per_s: float = 0.0


class Turn:
    """Something a person said and the robot's answer to it. Thread-safe.

    A turn ends exactly once: with `finish`, or with `cancel` when it had not begun.

    Args:
        text: What was said.
        language: ISO 639-1 code of the recogniser, or empty.
        speak: Say the answer aloud.
        on_progress: Told the new piece and the whole text so far, from the answering thread.
        on_end: Told the outcome, once, from any thread.
    """

    def __init__(
        self,
        text: str,
        language: str = "",
        speak: bool = True,
        on_progress: Callable[[str, str], None] | None = None,
        on_end: Callable[[Outcome], None] | None = None,
    ) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.text, self.language, self.speak = text, language, speak
        self.on_progress = on_progress or (lambda delta, whole: None)
        self.started = time.monotonic()
        self._on_end = on_end or (lambda outcome: None)
        self._lock = threading.Lock()
        self._begun = self._ended = False
        self._reason = ""
        self._stop: Callable[[], None] | None = None

    @property
    def cancelled(self) -> str:
        """Why the turn was cancelled; empty if it was not."""
        return self._reason

    @property
    def ended(self) -> bool:
        """Whether the outcome is known."""
        return self._ended

    def begin(self) -> bool:
        """Starts the answer; False when the turn was cancelled before."""
        with self._lock:
            if self._reason:
                return False
            self._begun = True
            return True

    def while_running(self, stop: Callable[[], None] | None) -> None:
        """Sets what a cancel shall call to break off the work at hand; None: nothing."""
        with self._lock:
            self._stop = stop
            at_once = bool(self._reason)
        if at_once and stop is not None:
            stop()

    def cancel(self, reason: str) -> None:
        """Breaks the answer off; does nothing when it is over."""
        with self._lock:
            if self._reason or self._ended:
                return
            self._reason = reason
            begun, stop = self._begun, self._stop
        if stop is not None:
            stop()
        if not begun:
            self.finish(Outcome(False, reason))

    def finish(self, outcome: Outcome) -> None:
        """Ends the turn; only the first outcome counts."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            self._stop = None
        self._on_end(outcome)


class Newest:
    """Holds the newest turn; taking another cancels it. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turn: Turn | None = None

    def take(self, turn: Turn) -> None:
        """The given turn is the newest; the one before is broken off."""
        with self._lock:
            before, self._turn = self._turn, turn
        if before is not None:
            before.cancel("superseded by a newer request")

    def cancel(self, reason: str) -> bool:
        """Breaks the turn in progress off; False when there is none."""
        with self._lock:
            turn = self._turn
        if turn is None or turn.ended:
            return False
        turn.cancel(reason)
        return True


class Progress:
    """Passes a growing text on, at most every PROGRESS_S; the pieces in between go along with the next.

    Args:
        send: Told what is new since the last time, and the whole text so far.
    """

    def __init__(self, send: Callable[[str, str], None]) -> None:
        self._send = send
        self._delta, self._whole = "", ""
        self._last = -math.inf

    def add(self, delta: str, whole: str) -> None:
        """Takes a piece and the text so far."""
        self._delta, self._whole = self._delta + delta, whole
        if time.monotonic() - self._last >= PROGRESS_S:
            self.flush()

    def flush(self) -> None:
        """Sends what has gathered."""
        if self._delta:
            delta, self._delta = self._delta, ""
            self._last = time.monotonic()
            self._send(delta, self._whole)
