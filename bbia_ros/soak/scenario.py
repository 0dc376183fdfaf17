"""What is done to the stack: sleep-converse cycles, then the household."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from bbia_ros.action import Chat
from bbia_ros.ros.context import SETTLE_S as TRIM_S
from bbia_ros.soak.actions import LEAVE, MODE, REST, SAY, VISIT, Action, Chooser
from bbia_ros.soak.rests import CYCLES, HOUSEHOLD, Rest
from bbia_ros.soak.sampling import Sample
from bbia_ros.speech.vocabulary import DEMO_LINES
from bbia_ros.stage.acts import ActFailed, enter_mode, play_line, remove_visitor, walk_visitor
from bbia_ros.stage.node import Stage

QUESTION = DEMO_LINES[1]
"""Asked in each cycle: only the language model can answer it, and the feeling in it is read too."""
LINES = DEMO_LINES[:5]
"""What visitors say. Not `good night`: it makes the robot change its mode by itself."""
SLEEP_WORKERS = 1
"""Workers that stay in `sleep`: the simulator's physics."""
CYCLE_TASKS = ("camera", "objects", "faces", "vad", "stt", "chat", "tts", "text_emotion")
"""Tasks whose models every cycle uses."""
WALK_SPEED = math.radians(20.0)
SPOKEN_S = 0.4
"""So much of the answer is heard before the robot is sent to sleep [s]."""
SPEECH_S = 2.0
"""Left to the robot after each line of the household [s]."""
SEEN_S, ANSWER_S = 30.0, 45.0
"""How long faces, and an answer, are waited for: loads of models included, on a busy machine [s]."""
TRIMMED_S = TRIM_S + 2.0
"""So long after it has fallen asleep, the processes whose nodes changed have given their free heap back [s]."""
SETTLE_S, AGREE_BYTES, SETTLE_STEP_S = 15.0, 500_000, 0.5
"""Then two samples so far apart differ by no more than that; waited for no longer than so."""
RETRY_S = 5.0
"""A mode change that failed is tried once more after this time [s]."""


class Stopped(Exception):
    """The soak ends before its time, because it cannot be watched or recorded; `cause` says why."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Scenario:
    """Plays on a running stack.

    Owns: nothing; it talks through the stage and tells what it does.

    Attributes:
        retried: mode changes that worked only the second time.
    """

    def __init__(
        self,
        stage: Stage,
        lines: Mapping[str, Path],
        measure: Callable[[], Sample],
        *,
        note: Callable[[str, str, float], None],
        rested: Callable[[Rest], None],
        trouble: Callable[[str], None],
        failed: Callable[[], BaseException | None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepares.

        Args:
            stage: the graph.
            lines: WAV file of each line.
            measure: takes a whole sample now.
            note: told what is done: the action, what came of it (empty: it was done), and the time of its start.
            rested: told of each measurement at rest.
            trouble: told what would need a person.
            failed: why the soak cannot go on; None as long as it can.
            now: time of the record [s].
        """
        self._stage, self._lines, self._measure, self._now = stage, lines, measure, now
        self._note, self._rested, self._trouble, self._failed = note, rested, trouble, failed
        self._used: set[str] = set()
        self._lock = threading.Lock()
        self.retried = 0

    def saw(self, status: Any) -> None:
        """Takes a StackStatus: which tasks have their models in memory."""
        with self._lock:
            self._used |= {model.task for model in status.models if model.state in ("IDLE", "BUSY")}

    def cycle(self, number: int) -> None:
        """Once from sleep to a conversation and back; every model is used."""
        self.converse(f"cycle {number}")
        self.rest(CYCLES, number)

    def converse(self, what: str) -> None:
        """Has every model used once; that it cannot be is trouble."""
        if failure := self._do(what, self._converse):
            self._trouble(f"{what}: {failure}")
        self._do("visitor leaves", lambda: remove_visitor(self._stage))

    def household(self, chooser: Chooser, until: float, held: Callable[[], AbstractContextManager[None]]) -> None:
        """Random actions until a time of the record; begins and ends with a rest.

        Args:
            chooser: draws the actions.
            until: when no further one begins [s].
            held: keeps the chaos away while it is measured at rest.
        """
        number = 1
        self._rest_held(number, held)
        while self._now() < until:
            action = chooser.next()
            if action.kind == REST:
                number += 1
                self._rest_held(number, held)
            else:
                self.act(action)
        self._rest_held(number + 1, held)

    def act(self, action: Action) -> None:
        """One action; what it fails of is noted, and a mode that cannot be entered is trouble."""
        if action.kind == MODE:
            self.enter(action.what)
        elif action.kind == SAY:
            self._do(str(action), lambda: self.pause(play_line(self._stage, self._lines[action.what]) + SPEECH_S))
        elif action.kind == VISIT:
            self._do(str(action), lambda: self.pause(min(4.0, walk_visitor(
                self._stage, action.start, action.end, WALK_SPEED, action.distance))))  # fmt: skip
        elif action.kind == LEAVE:
            self._do(str(action), lambda: remove_visitor(self._stage))
        else:
            self._do(str(action), lambda: self.pause(action.duration))

    def enter(self, mode: str) -> None:
        """Changes the mode; tries it a second time before it is trouble."""
        if not self._do(f"mode {mode}", lambda: enter_mode(self._stage, mode)):
            return
        self.pause(RETRY_S)
        if failure := self._do(f"mode {mode} again", lambda: enter_mode(self._stage, mode)):
            self._trouble(failure)
        else:
            self.retried += 1

    def rest(self, part: str, number: int) -> None:
        """Goes to sleep, and measures when nothing moves any more."""
        self.enter("sleep")
        self.pause(TRIMMED_S)
        deadline = time.monotonic() + SETTLE_S
        before = self._measure()
        while True:
            self.pause(SETTLE_STEP_S)
            sample = self._measure()
            still = abs(sample.pss - before.pss) <= AGREE_BYTES and sample.fds == before.fds
            settled = still and sample.workers == SLEEP_WORKERS and sample.threads == before.threads
            if settled or time.monotonic() > deadline:
                break
            before = sample
        with self._lock:
            used, self._used = tuple(sorted(self._used)), set()
        self._rested(Rest(part, number, self._now(), sample, settled, used))

    def pause(self, seconds: float) -> None:
        """Lets the stack go on.

        Raises:
            Stopped: the soak cannot go on.
        """
        end = time.monotonic() + seconds
        while True:
            cause = self._failed()
            if cause is not None:
                raise Stopped(cause)
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.25))

    # ---------------------------------------------------------------------------------------------------------------

    def _rest_held(self, number: int, held: Callable[[], AbstractContextManager[None]]) -> None:
        self._do("visitor leaves", lambda: remove_visitor(self._stage))
        with held():
            self.rest(HOUSEHOLD, number)

    def _converse(self) -> None:
        """Sees a face, hears a question, begins to answer it aloud."""
        stage = self._stage
        walk_visitor(stage, 0.0, 0.0, WALK_SPEED, 0.8)
        enter_mode(stage, "converse")
        self._await("perception/faces", lambda m: len(m.faces) > 0, SEEN_S, 0, "no face was seen")
        self._await("perception/objects", lambda m: True, SEEN_S, 0, "nothing was looked for")
        start = stage.now_ns()
        self.pause(play_line(stage, self._lines[QUESTION]))
        turn = self._await(
            "dialogue/turns", lambda m: m.role == "robot" and m.final, ANSWER_S, start, "the robot did not answer"
        )
        self._spoken(start)
        if turn.source != "chat":  # misheard, and a rule has answered
            start = stage.now_ns()
            answer = stage.act(Chat, "dialogue/chat", Chat.Goal(text=QUESTION, speak=True), ANSWER_S)
            if answer is None or not answer.ok:
                raise ActFailed(f"the language model does not answer: {answer.message if answer else 'no reply'}")
            self._spoken(start)

    def _spoken(self, start: int) -> None:
        spoken = lambda m: m.done or m.position_s >= SPOKEN_S  # noqa: E731
        self._await("audio/playback", spoken, ANSWER_S, start, "the answer was not spoken")

    def _await(self, topic: str, condition: Callable[[Any], bool], timeout_s: float, since: int, failure: str) -> Any:
        since = since or self._stage.now_ns()
        deadline = time.monotonic() + timeout_s
        while (found := self._stage.wait(topic, condition, 1.0, since)) is None:
            self.pause(0.0)
            if time.monotonic() > deadline:
                raise ActFailed(f"{failure} within {timeout_s:g} s")
        return found

    def _do(self, what: str, deed: Callable[[], object]) -> str:
        """Does it and tells what came of it: what it failed of, or nothing."""
        self.pause(0.0)
        began, failure = self._now(), ""
        try:
            deed()
        except ActFailed as error:
            failure = str(error)
        self._note(what, failure, began)
        return failure


def undisturbed() -> AbstractContextManager[None]:
    """For a household without chaos."""
    return nullcontext()
