"""The robot's voice: utterances wait, are synthesised ahead, sent in step with the loudspeaker, and can be cut off."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bbia_ros.residency.errors import CallCancelled, CallTimeout, LeaseReleased, ResidencyError, WorkerDied
from bbia_ros.speech.pacing import Pacer
from bbia_ros.speech.sentences import sentences

CHUNK_S = 0.02
"""Duration of a chunk [s]."""
_GRACE_S = 1.0
"""How long after its computed end an utterance waits for the loudspeaker's word [s]."""

Samples = NDArray[np.int16]


@dataclass(frozen=True)
class SpeakerChunk:
    """What goes to the loudspeaker."""

    utterance_id: str
    sequence: int
    sample_rate: int
    samples: Samples
    flush: bool = False
    last: bool = False


@dataclass(frozen=True)
class Outcome:
    """How an utterance ended: the result of speech/say."""

    ok: bool
    message: str = ""
    duration_s: float = 0.0
    spoken_s: float = 0.0
    interrupted: bool = False


@dataclass(eq=False)
class SpokenLine:
    """One utterance on its way to the loudspeaker.

    Attributes:
        utterance_id: unique.
        text: to be spoken.
        on_end: told once, from any thread, how it ended.
    """

    utterance_id: str
    text: str
    on_end: Callable[[Outcome], None]
    pieces: deque[tuple[int, Samples]] = field(default_factory=deque, repr=False)
    pacer: Pacer = field(default_factory=Pacer, repr=False)
    made_s: float = 0.0
    made: bool = False
    failure: str = ""
    sent_last: bool = False
    reported_done: bool = False
    ended: bool = False


class Voice:
    """Speaks utterances one after the other.

    Two threads run it: one calls `make` and one calls `play` with each utterance, in the order of `say`. So an
    utterance is synthesised while the one before it is still heard.

    Owns: the queue (bounded by `most_waiting`) and the audio made ahead (bounded by `ahead_s`). Does not own threads.
    """

    def __init__(
        self,
        synthesize: Callable[[str], tuple[int, Samples]],
        send: Callable[[SpeakerChunk], None],
        changed: Callable[[], None],
        trouble: Callable[[str], None],
        *,
        most_waiting: int = 16,
        lead_s: float = 0.2,
        ahead_s: float = 20.0,
        longest_piece: int = 120,
    ) -> None:
        """Makes a silent voice.

        Args:
            synthesize: text of a sentence to (sample rate [Hz], mono samples); may block.
            send: puts a chunk on its way; must not block.
            changed: told when `speaking` has changed.
            trouble: told, in one sentence, of a failure that is being made up for.
            most_waiting: utterances that may be queued, the one being spoken included.
            lead_s: [s] that chunks may be ahead of the loudspeaker.
            ahead_s: [s] of audio of one utterance that may be made ahead.
            longest_piece: longer sentences are cut at commas, so that the first sound comes early [characters].
        """
        self._synthesize, self._send, self._changed, self._trouble = synthesize, send, changed, trouble
        self._most_waiting, self._lead_s, self._ahead_s = most_waiting, lead_s, ahead_s
        self._longest_piece = longest_piece
        self._lines: list[SpokenLine] = []
        self._current: SpokenLine | None = None
        self._sequence = 0
        self._closed = False
        self._condition = threading.Condition()

    @property
    def speaking(self) -> str:
        """Id of the utterance that is being played; empty: none."""
        current = self._current
        return current.utterance_id if current is not None else ""

    @property
    def waiting(self) -> int:
        """Utterances that have not ended."""
        return len(self._lines)

    def refusal(self, text: str, utterance_id: str = "", emptied: bool = False) -> str | None:
        """Why an utterance cannot be taken now, in one sentence; None: it can.

        Args:
            text: to be spoken.
            utterance_id: wanted id; empty: any.
            emptied: what waits is going to be dropped first.
        """
        if not sentences(text):
            return "the text holds nothing that can be spoken"
        if emptied:
            return None
        if len(self._lines) >= self._most_waiting:
            return f"{len(self._lines)} utterances wait already, the most that may; try again when one has ended"
        if utterance_id and any(line.utterance_id == utterance_id for line in self._lines):
            return f"utterance '{utterance_id}' waits already"
        return None

    def say(self, line: SpokenLine) -> None:
        """Queues an utterance; the caller hands it to the threads of `make` and `play`."""
        line.pacer = Pacer(self._lead_s)
        with self._condition:
            closed = self._closed
            if not closed:
                self._lines.append(line)
        if closed:
            line.ended = True
            line.on_end(Outcome(False, "the robot's voice is off"))

    def make(self, line: SpokenLine) -> None:
        """Synthesises an utterance sentence by sentence.

        Raises:
            ResidencyError: the voice failed; the utterance ends with what has been made.
        """
        try:
            for sentence in sentences(line.text, self._longest_piece):
                with self._condition:
                    while not line.ended and line.made_s - line.pacer.sent_s > self._ahead_s:
                        self._condition.wait()
                    if line.ended:
                        return
                rate, samples = self._surely(sentence)
                if len(samples) == 0:
                    continue
                with self._condition:
                    line.pieces.append((rate, samples))
                    line.made_s += len(samples) / rate
                    self._condition.notify_all()
        except (CallCancelled, LeaseReleased):
            line.failure = "the voice was switched off"
            raise
        except ResidencyError as error:
            line.failure = f"the voice failed: {error}"
            raise
        except BaseException as error:
            line.failure = f"the voice failed: {error}"
            raise
        finally:
            with self._condition:
                line.made = True
                self._condition.notify_all()

    def play(self, line: SpokenLine) -> None:
        """Sends an utterance's audio in step with the loudspeaker and waits for its end."""
        while True:
            with self._condition:
                while not (line.ended or line.pieces or line.made):
                    self._condition.wait()
                if line.ended:
                    return
                if not line.pieces:
                    break
                rate, samples = line.pieces.popleft()
                self._condition.notify_all()
            if not self._send_piece(line, rate, samples):
                return
        self._await_end(line)

    def interrupt(self) -> int:
        """Falls silent at once and drops what waits. Returns how many utterances that ended."""
        with self._condition:
            lines = list(self._lines)
        return sum(self.cancel(line) for line in lines)

    def cancel(self, line: SpokenLine) -> bool:
        """Ends one utterance, audibly at once if it is being spoken. False: it has ended already."""
        with self._condition:
            if line.ended:
                return False
            if line is self._current:
                self._emit(SpeakerChunk(line.utterance_id, 0, 16_000, np.zeros(0, np.int16), flush=True))
            spoken = line.pacer.played_s(time.monotonic())
        return self._end(line, Outcome(False, "interrupted", line.made_s, spoken, interrupted=True))

    def on_playback(self, utterance_id: str, position_s: float, done: bool, flushed: bool) -> None:
        """The loudspeaker's report."""
        with self._condition:
            line = self._current
            if line is None or line.utterance_id != utterance_id:
                return
            now = time.monotonic()
            line.pacer.report(now, position_s)
            position_s = line.pacer.played_s(now)
            if done and not flushed:
                line.reported_done = line.sent_last and line.pacer.left_s(now) <= CHUNK_S
                if not line.sent_last:
                    line.pacer.ran_dry(now)  # the next sentence was late
            self._condition.notify_all()
        if done and flushed:
            self._end(line, Outcome(False, "the loudspeaker was silenced", line.made_s, position_s, interrupted=True))

    def close(self) -> None:
        """Interrupts and takes nothing more; wakes both threads."""
        with self._condition:
            self._closed = True
        self.interrupt()

    def _surely(self, sentence: str) -> tuple[int, Samples]:
        try:
            return self._synthesize(sentence)
        except (WorkerDied, CallTimeout) as error:
            self._trouble(f"text to speech failed ({error}); the sentence is made again")
        return self._synthesize(sentence)

    def _send_piece(self, line: SpokenLine, rate: int, samples: Samples) -> bool:
        """Sends one piece; False: the utterance has ended meanwhile."""
        self._begin(line)
        size = round(rate * CHUNK_S)
        for first in range(0, len(samples), size):
            chunk = samples[first : first + size]
            duration = len(chunk) / rate
            at_end = first + size >= len(samples)
            with self._condition:
                while not line.ended:
                    wait = line.pacer.wait_s(time.monotonic(), duration)
                    # Whether a piece's last chunk is the utterance's last is known when the next piece is there.
                    undecided = at_end and not line.pieces and not line.made
                    if wait <= 0 and not undecided:
                        break
                    self._condition.wait(wait if wait > 0 else None)
                if line.ended:
                    return False
                last = at_end and line.made and not line.pieces
                self._emit(SpeakerChunk(line.utterance_id, 0, rate, chunk, last=last))
                line.pacer.send(time.monotonic(), duration)
                line.reported_done, line.sent_last = False, last
                self._condition.notify_all()
        return True

    def _begin(self, line: SpokenLine) -> None:
        with self._condition:
            if line.ended or self._current is line:
                return
            self._current = line
        self._changed()

    def _await_end(self, line: SpokenLine) -> None:
        if line.pacer.sent_s == 0.0:
            self._end(line, Outcome(not line.failure, line.failure))
            return
        with self._condition:
            deadline = time.monotonic() + line.pacer.left_s(time.monotonic()) + _GRACE_S
            while not (line.ended or line.reported_done):
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._condition.wait(left)
            spoken = line.made_s if line.reported_done else line.pacer.played_s(time.monotonic())
            heard = line.pacer.reported
        message = line.failure
        if not heard and not message:
            message = "the loudspeaker did not report that it played; is the driver active?"
        self._end(line, Outcome(not message, message, line.made_s, spoken))

    def _emit(self, chunk: SpeakerChunk) -> None:
        self._send(
            SpeakerChunk(chunk.utterance_id, self._sequence, chunk.sample_rate, chunk.samples, chunk.flush, chunk.last)
        )
        self._sequence = (self._sequence + 1) % 2**32

    def _end(self, line: SpokenLine, outcome: Outcome) -> bool:
        with self._condition:
            if line.ended:
                return False
            line.ended = True
            line.pieces.clear()
            if line in self._lines:
                self._lines.remove(line)
            was_current = line is self._current
            if was_current:
                self._current = None
            self._condition.notify_all()
        if was_current:
            self._changed()
        line.on_end(outcome)
        return True
