"""Whose turn it is: from voice probabilities to "someone starts", "the line so far" and "that was the whole line"."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bbia_ros.speech.microphone import SAMPLE_RATE, WINDOW

WINDOW_S = WINDOW / SAMPLE_RATE
"""Duration of a window [s]."""
_RECENT = 5
"""Windows among which the start of a voice is looked for: a consonant may fall between two vowels."""


@dataclass(frozen=True)
class TurnSettings:
    """How turns are found.

    Attributes:
        start_probability: a window at or above this is voiced.
        stop_probability: in a turn, a window below this is silence (hysteresis).
        voice_s: [s] of voice among the last 0.16 s that start a turn.
        preroll_s: [s] of audio kept from before the first voiced sample.
        speculate_s: [s] of silence after which the line so far is transcribed, on the chance that it is complete.
        end_s: [s] of silence that end the turn.
        part_s: [s] after which a long line is cut where the voice is weakest; bounds the audio in memory.
        longest_s: [s] after which a turn ends whatever is heard.
        first_partial_s: [s] after the start of a turn a partial text is wanted once: its first words tell that an
            answer will be needed, and whoever gives it can get ready. 0: none.
        partial_s: [s] of new audio after which a partial text is wanted again and again; 0: none.
    """

    start_probability: float = 0.5
    stop_probability: float = 0.35
    voice_s: float = 0.09
    preroll_s: float = 0.3
    speculate_s: float = 0.25
    end_s: float = 0.5
    part_s: float = 9.0
    longest_s: float = 30.0
    first_partial_s: float = 1.0
    partial_s: float = 0.0


@dataclass(frozen=True)
class VoiceStarted:
    """Someone has begun to speak. `sample`: the first voiced one."""

    turn: int
    sample: int


@dataclass(frozen=True)
class Piece:
    """Audio of a turn to transcribe.

    Attributes:
        turn: number of the turn.
        part: number of the part within the turn, from 0.
        attempt: number that is unique per piece; None of the audio changes under it.
        audio: mono int16 at 16 kHz, from the part's start.
        first: number of audio's first sample.
        start: first voiced sample of the turn.
        end: sample after the last voiced one so far.
    """

    turn: int
    part: int
    attempt: int
    audio: NDArray[np.int16]
    first: int
    start: int
    end: int


@dataclass(frozen=True)
class Speculation:
    """The line may be complete: transcribe it now."""

    piece: Piece


@dataclass(frozen=True)
class PartialWanted:
    """The line goes on; a text of what there is so far would be welcome."""

    piece: Piece


@dataclass(frozen=True)
class VoiceResumed:
    """The line went on: the pieces up to and with `attempt` are outdated."""

    turn: int
    attempt: int


@dataclass(frozen=True)
class PartEnded:
    """A long line was cut: this part is final, the turn goes on."""

    piece: Piece


@dataclass(frozen=True)
class TurnEnded:
    """The line is complete.

    Attributes:
        piece: its last part. When it was transcribed already, as a speculation, its `attempt` is that one's.
    """

    piece: Piece


TurnEvent = VoiceStarted | Speculation | PartialWanted | VoiceResumed | PartEnded | TurnEnded


class TurnTaker:
    """Finds turns in a stream of windows and their voice probabilities.

    Owns: the audio of the running part and of the time before it, never more than `part_s` + 1 s.

    Attributes:
        speaking: a turn is running.
        voiced_s: [s] of voice in the running turn while the voice goes on; 0 in its pauses and between turns.
    """

    def __init__(self, settings: TurnSettings | None = None) -> None:
        self.settings = settings or TurnSettings()
        self.speaking, self.voiced_s = False, 0.0
        self._sample = 0
        self._turn = self._attempts = 0
        self._recent: deque[bool] = deque(maxlen=_RECENT)
        self._speculation: Piece | None = None
        self._windows: deque[tuple[NDArray[np.int16], float]] = deque()
        self._first = 0
        self._voiced = 0.0
        self._start = self._end = self._part = self._partial_at = self._began = 0

    def push(self, window: NDArray[np.int16], probability: float) -> list[TurnEvent]:
        """Continues the stream by one window of 512 samples and the probability that it holds a voice."""
        if not self._windows:
            self._first = self._sample
        self._windows.append((window, probability))
        self._sample += WINDOW
        return self._in_turn(probability) if self.speaking else self._between_turns(probability)

    def close(self) -> list[TurnEvent]:
        """The stream is interrupted: a running turn ends here; what comes next is unrelated."""
        events: list[TurnEvent] = [self._finish()] if self.speaking else []
        self._windows.clear()
        self._recent.clear()
        return events

    @property
    def buffered_s(self) -> float:
        """Audio in memory [s]."""
        return len(self._windows) * WINDOW_S

    def _between_turns(self, probability: float) -> list[TurnEvent]:
        settings = self.settings
        self._recent.append(probability >= settings.start_probability)
        voiced = sum(self._recent)
        if voiced == 0 or voiced * WINDOW_S < settings.voice_s:
            self._drop_before(self._sample - round(settings.preroll_s * SAMPLE_RATE) - _RECENT * WINDOW)
            return []
        windows_ago = len(self._recent) - list(self._recent).index(True)
        self._start = self._sample - windows_ago * WINDOW
        self._drop_before(self._start - round(settings.preroll_s * SAMPLE_RATE))
        self._turn += 1
        self._end = self._partial_at = self._began = self._sample
        self.speaking, self.voiced_s, self._voiced = True, voiced * WINDOW_S, voiced * WINDOW_S
        return [VoiceStarted(self._turn, self._start)]

    def _in_turn(self, probability: float) -> list[TurnEvent]:
        settings, events = self.settings, list[TurnEvent]()
        if probability >= settings.stop_probability:
            self._end = self._sample
            self._voiced += WINDOW_S
            self.voiced_s = self._voiced
            if self._speculation is not None:
                events.append(VoiceResumed(self._turn, self._speculation.attempt))
                self._speculation = None
            if self._partial_is_due():
                self._partial_at = self._sample
                events.append(PartialWanted(self._piece()))
        else:
            self.voiced_s = 0.0
        silence = (self._sample - self._end) / SAMPLE_RATE
        if silence >= settings.end_s or (self._sample - self._start) / SAMPLE_RATE >= settings.longest_s:
            return [*events, self._finish()]
        if silence >= settings.speculate_s and self._speculation is None:
            self._speculation = self._piece()
            events.append(Speculation(self._speculation))
        if self.buffered_s >= settings.part_s:
            events += self._cut()
        return events

    def _partial_is_due(self) -> bool:
        first, again = self.settings.first_partial_s, self.settings.partial_s
        wait = first if first > 0 and self._partial_at == self._began else again
        return wait > 0 and (self._sample - self._partial_at) / SAMPLE_RATE >= wait

    def _cut(self) -> list[TurnEvent]:
        """Ends the part where the voice was weakest within its last two seconds."""
        probabilities = [probability for _, probability in self._windows]
        tail = min(len(probabilities) - 1, round(2.0 / WINDOW_S))
        place = len(probabilities) - tail + int(np.argmin(probabilities[-tail:]))
        kept = list(self._windows)[:place]
        audio = np.concatenate([window for window, _ in kept])
        self._attempts += 1
        first = self._first
        piece = Piece(self._turn, self._part, self._attempts, audio, first, self._start, self._end)
        for _ in range(place):
            self._windows.popleft()
        self._first = first + place * WINDOW
        self._part += 1
        events: list[TurnEvent] = []
        if self._speculation is not None:
            events.append(VoiceResumed(self._turn, self._speculation.attempt))
            self._speculation = None
        return [*events, PartEnded(piece)]

    def _finish(self) -> TurnEnded:
        piece = self._speculation or self._piece()
        if (self._sample - self._end) / SAMPLE_RATE < self.settings.speculate_s:
            self._windows.clear()  # cut off within speech: the next turn must not begin with words of this one
        self._end_turn()
        return TurnEnded(piece)

    def _end_turn(self) -> None:
        self.speaking, self.voiced_s, self._voiced = False, 0.0, 0.0
        self._recent.clear()
        self._speculation = None
        self._start = self._end = self._part = self._partial_at = self._began = 0

    def _piece(self) -> Piece:
        self._attempts += 1
        audio = np.concatenate([window for window, _ in self._windows])
        return Piece(self._turn, self._part, self._attempts, audio, self._first, self._start, self._end)

    def _drop_before(self, sample: int) -> None:
        while self._windows and self._first + WINDOW <= sample:
            self._windows.popleft()
            self._first += WINDOW
