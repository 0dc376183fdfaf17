from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bbia_ros.residency.errors import CallTimeout, ModelFailed, WorkerDied
from bbia_ros.speech.stt_whisper import HeardWord, Transcript
from bbia_ros.speech.transcription import HeardLine, Transcriber
from bbia_ros.speech.turns import PartEnded, Piece, Speculation, TurnEnded


def piece(turn: int = 1, part: int = 0, attempt: int = 1, first: int = 0) -> Piece:
    return Piece(turn, part, attempt, np.full(16_000, attempt, np.int16), first, 100, 15_000)


class Model:
    """Answers with the texts given for an attempt (the audio's value), one per call; errors are raised."""

    def __init__(self, **answers: list[str | Exception]) -> None:
        self.answers = {int(key[1:]): list(texts) for key, texts in answers.items()}
        self.calls: list[int] = []
        self.lines: list[HeardLine] = []
        self.troubles: list[str] = []
        self.transcriber = Transcriber(self, self.lines.append, self.troubles.append)

    def __call__(self, audio: NDArray[np.int16]) -> Transcript:
        self.calls.append(int(audio[0]))
        answer = self.answers[int(audio[0])].pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Transcript(answer, "en", 0.5 if answer == "unclear" else 0.9, 0.0, [HeardWord(answer, 0.25, 0.5, 0.9)])


def test_a_guess_that_came_true_is_not_transcribed_again() -> None:
    model = Model(a1=["hello robot"])
    model.transcriber.handle(Speculation(piece()))
    model.transcriber.handle(TurnEnded(piece()))
    assert model.calls == [1]
    assert [(line.text, line.final) for line in model.lines] == [("hello robot", False), ("hello robot", True)]
    assert (model.lines[1].start, model.lines[1].end, model.lines[1].turn) == (100, 15_000, 1)


def test_an_outdated_guess_that_waits_is_skipped() -> None:
    model = Model(a2=["hello robot, look"])
    model.transcriber.outdate(1)
    model.transcriber.handle(Speculation(piece()))
    model.transcriber.handle(TurnEnded(piece(attempt=2)))
    assert model.calls == [2]
    assert [line.text for line in model.lines] == ["hello robot, look"]


def test_parts_are_joined_with_words_in_the_time_of_the_stream() -> None:
    model = Model(a1=["once upon"], a2=["unclear"])
    model.transcriber.handle(PartEnded(piece()))
    model.transcriber.handle(TurnEnded(piece(part=1, attempt=2, first=16_000)))
    assert [(line.text, line.final) for line in model.lines] == [("once upon", False), ("once upon unclear", True)]
    assert model.lines[1].confidence == 0.5
    assert [word.start for word in model.lines[1].words] == [0.25, 1.25]


def test_turns_do_not_mix() -> None:
    model = Model(a1=["one"], a2=["two"])
    model.transcriber.handle(PartEnded(piece()))
    model.transcriber.handle(TurnEnded(piece(turn=2, attempt=2)))
    assert model.lines[-1].text == "two"


def test_nothing_heard_is_nothing_published() -> None:
    model = Model(a1=[""])
    model.transcriber.handle(Speculation(piece()))
    model.transcriber.handle(TurnEnded(piece()))
    assert model.lines == []


@pytest.mark.parametrize("error", [WorkerDied("the worker died"), CallTimeout("too slow")])
def test_audio_is_transcribed_again_after_its_worker_died(error: Exception) -> None:
    model = Model(a1=[error, "hello"])
    model.transcriber.handle(TurnEnded(piece()))
    assert [line.text for line in model.lines] == ["hello"]
    assert len(model.troubles) == 1
    assert str(error) in model.troubles[0]


def test_a_guess_whose_worker_died_is_made_up_for_at_the_end_of_the_turn() -> None:
    model = Model(a1=[WorkerDied("the worker died"), "hello"])
    with pytest.raises(WorkerDied):
        model.transcriber.handle(Speculation(piece()))
    model.transcriber.handle(TurnEnded(piece()))
    assert [line.text for line in model.lines] == ["hello"]


def test_a_model_that_stays_broken_is_reported_and_the_next_turn_is_tried() -> None:
    model = Model(a1=[ModelFailed("gave up")], a2=["back again"])
    with pytest.raises(ModelFailed):
        model.transcriber.handle(TurnEnded(piece()))
    model.transcriber.handle(TurnEnded(piece(turn=2, attempt=2)))
    assert [line.text for line in model.lines] == ["back again"]
