"""From pieces of a turn to its text: speculation used when it came true, parts joined, nothing lost with a worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bbia_ros.residency.errors import AdmissionRefused, CallTimeout, WorkerDied
from bbia_ros.speech.microphone import SAMPLE_RATE
from bbia_ros.speech.stt_whisper import HeardWord, Transcript
from bbia_ros.speech.turns import PartEnded, PartialWanted, Piece, Speculation, TurnEnded

Transcribe = Callable[[NDArray[np.int16]], Transcript]


@dataclass(frozen=True)
class HeardLine:
    """What one turn says, so far or for good.

    Attributes:
        turn: number of the turn.
        text: never empty.
        final: it will not change.
        language: ISO 639-1 code.
        confidence: [0, 1], the least of the parts'.
        start: first voiced sample.
        end: sample after the last voiced one.
        words: with `start` and `end` in seconds after sample 0.
    """

    turn: int
    text: str
    final: bool
    language: str
    confidence: float
    start: int
    end: int
    words: list[HeardWord] = field(default_factory=list)


@dataclass
class _Turn:
    number: int
    parts: dict[int, Transcript] = field(default_factory=dict)
    words: list[HeardWord] = field(default_factory=list)


class Transcriber:
    """Handles the pieces of turns in order, in one thread; `outdate` may come from another.

    Owns: the texts of the running turn and of the last speculation.
    """

    def __init__(
        self,
        transcribe: Transcribe,
        publish: Callable[[HeardLine], None],
        trouble: Callable[[str], None],
        partials: bool = True,
    ) -> None:
        """Makes one.

        Args:
            transcribe: may block; ResidencyErrors of its worker are expected.
            publish: told of each text.
            trouble: told, in one sentence, of a failure that is being made up for.
            partials: publish texts that may still change.
        """
        self._transcribe, self._publish, self._trouble, self._partials = transcribe, publish, trouble, partials
        self._turn = _Turn(0)
        self._guess: tuple[int, Transcript] | None = None
        self._outdated = 0

    def outdate(self, attempt: int) -> None:
        """Speculations and partial texts with this number and those before are no longer wanted; the final ones are."""
        self._outdated = max(self._outdated, attempt)

    def handle(self, event: Speculation | PartialWanted | PartEnded | TurnEnded) -> None:
        """Transcribes what the event wants and publishes the text.

        Raises:
            ResidencyError: the model failed. A turn or part was tried twice by then; a speculation is not repeated,
                its turn's end will.
        """
        piece = event.piece
        if piece.turn != self._turn.number:
            self._turn = _Turn(piece.turn)
        if isinstance(event, Speculation | PartialWanted):
            if piece.attempt <= self._outdated:
                return
            guess = self._transcribe(piece.audio)
            self._guess = (piece.attempt, guess)
            if self._partials:
                self._say(piece, guess, final=False)
            return
        known = self._guess is not None and self._guess[0] == piece.attempt
        transcript = self._guess[1] if known and self._guess is not None else self._surely(piece)
        self._guess = None
        if isinstance(event, PartEnded):
            self._turn.parts[piece.part] = transcript
            self._turn.words += _in_stream(piece, transcript)
            if self._partials:
                self._say(piece, None, final=False)
        else:
            self._say(piece, transcript, final=True)
            self._turn = _Turn(0)

    def _surely(self, piece: Piece) -> Transcript:
        try:
            return self._transcribe(piece.audio)
        except (AdmissionRefused, CallTimeout, WorkerDied) as error:
            self._trouble(f"speech to text failed ({error}); the audio is kept and transcribed again")
        return self._transcribe(piece.audio)

    def _say(self, piece: Piece, last: Transcript | None, final: bool) -> None:
        transcripts = [self._turn.parts[number] for number in sorted(self._turn.parts)]
        words = list(self._turn.words)
        if last is not None:
            transcripts.append(last)
            words += _in_stream(piece, last)
        spoken = [transcript for transcript in transcripts if transcript.text]
        if not spoken:
            return
        text = " ".join(transcript.text for transcript in spoken)
        confidence = min(transcript.confidence for transcript in spoken)
        self._publish(
            HeardLine(
                piece.turn, text, final, spoken[-1].language, confidence, piece.start, piece.end, words if final else []
            )
        )


def _in_stream(piece: Piece, transcript: Transcript) -> list[HeardWord]:
    offset = piece.first / SAMPLE_RATE
    return [HeardWord(w.text, w.start + offset, w.end + offset, w.probability) for w in transcript.words]
