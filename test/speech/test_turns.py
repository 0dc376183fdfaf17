from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bbia_ros.speech.microphone import SAMPLE_RATE, WINDOW
from bbia_ros.speech.turns import (
    WINDOW_S,
    PartEnded,
    PartialWanted,
    Piece,
    Speculation,
    TurnEnded,
    TurnEvent,
    TurnSettings,
    TurnTaker,
    VoiceResumed,
    VoiceStarted,
)

VOICE, SILENCE = 0.9, 0.05


def windows(seconds: float) -> int:
    return round(seconds / WINDOW_S)


PLAIN = TurnSettings(first_partial_s=0.0)


def feed(taker: TurnTaker, *stretches: tuple[float, float]) -> list[TurnEvent]:
    """Each stretch: seconds, probability. The samples of window n all have the value n."""
    events: list[TurnEvent] = []
    for seconds, probability in stretches:
        for _ in range(windows(seconds)):
            number = taker._sample // WINDOW
            events += taker.push(np.full(WINDOW, number % 30_000, np.int16), probability)
    return events


def kinds(events: list[TurnEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_one_line_is_started_guessed_and_ended() -> None:
    events = feed(TurnTaker(PLAIN), (1.0, SILENCE), (2.0, VOICE), (1.0, SILENCE))
    assert kinds(events) == ["VoiceStarted", "Speculation", "TurnEnded"]
    started, guess, ended = events
    assert isinstance(started, VoiceStarted)
    assert isinstance(guess, Speculation)
    assert isinstance(ended, TurnEnded)
    assert started.sample == windows(1.0) * WINDOW
    assert ended.piece is guess.piece  # what was guessed is the whole line: it need not be transcribed again
    assert ended.piece.start == started.sample
    assert ended.piece.end == (windows(1.0) + windows(2.0)) * WINDOW


def test_the_audio_begins_before_the_voice_and_holds_all_of_it() -> None:
    events = feed(TurnTaker(PLAIN), (1.0, SILENCE), (2.0, VOICE), (1.0, SILENCE))
    piece = events[-1].piece  # type: ignore[union-attr]
    numbers = piece.audio[::WINDOW]
    assert list(numbers) == list(range(numbers[0], numbers[0] + len(numbers)))
    assert piece.first == int(numbers[0]) * WINDOW
    before = (piece.start - piece.first) / SAMPLE_RATE
    assert 0.3 <= before < 0.3 + 2 * WINDOW_S
    assert piece.first + len(piece.audio) >= piece.end


def test_a_pause_within_a_line_does_not_end_it_and_outdates_the_guess() -> None:
    events = feed(TurnTaker(PLAIN), (1.0, VOICE), (0.35, SILENCE), (1.0, VOICE), (1.0, SILENCE))
    assert kinds(events) == ["VoiceStarted", "Speculation", "VoiceResumed", "Speculation", "TurnEnded"]
    first, resumed, second, ended = events[1:]
    assert isinstance(first, Speculation)
    assert isinstance(resumed, VoiceResumed)
    assert isinstance(second, Speculation)
    assert isinstance(ended, TurnEnded)
    assert resumed.attempt == first.piece.attempt
    assert ended.piece.attempt == second.piece.attempt != first.piece.attempt


def test_clicks_and_doubtful_windows_start_nothing() -> None:
    taker = TurnTaker(PLAIN)
    for _ in range(20):
        assert feed(taker, (0.064, VOICE), (0.3, SILENCE)) == []
    assert feed(taker, (3.0, 0.45)) == []
    assert not taker.speaking


def test_hysteresis_a_doubtful_window_keeps_a_running_turn() -> None:
    taker = TurnTaker(PLAIN)
    feed(taker, (0.5, VOICE), (3.0, 0.4))
    assert taker.speaking
    assert taker.voiced_s > 3.0
    feed(taker, (0.1, SILENCE))
    assert taker.voiced_s == 0.0


def test_a_long_line_is_cut_at_its_weakest_point_without_losing_a_sample() -> None:
    taker = TurnTaker(TurnSettings(part_s=4.0, first_partial_s=0.0))
    events = feed(taker, (3.0, VOICE), (0.1, SILENCE), (3.0, VOICE), (1.0, SILENCE))
    assert kinds(events) == ["VoiceStarted", "PartEnded", "Speculation", "TurnEnded"]
    part, end = events[1].piece, events[-1].piece  # type: ignore[union-attr]
    assert (part.part, end.part) == (0, 1)
    assert end.first == part.first + len(part.audio)
    assert abs(end.first / SAMPLE_RATE - 3.05) < 0.1
    assert part.start == end.start


def test_nobody_talks_forever() -> None:
    events = feed(TurnTaker(TurnSettings(longest_s=5.0, part_s=3.0, first_partial_s=0.0)), (12.0, VOICE))
    ends = [event.piece for event in events if isinstance(event, TurnEnded)]
    assert len(ends) == 2
    assert sum(isinstance(event, VoiceStarted) for event in events) == 3


def test_partial_texts_are_asked_for_when_wanted() -> None:
    events = feed(TurnTaker(TurnSettings(partial_s=1.0, first_partial_s=0.0)), (3.5, VOICE), (1.0, SILENCE))
    assert kinds(events).count("PartialWanted") == 3
    assert isinstance(events[1], PartialWanted)


def test_the_first_words_are_asked_for_once() -> None:
    events = feed(TurnTaker(), (3.5, VOICE), (1.0, SILENCE), (3.5, VOICE), (1.0, SILENCE))
    wanted = [event.piece for event in events if isinstance(event, PartialWanted)]
    assert [piece.turn for piece in wanted] == [1, 2]
    assert all(abs((piece.end - piece.start) / SAMPLE_RATE - 1.1) < 0.1 for piece in wanted)


def test_an_interrupted_stream_ends_the_turn() -> None:
    taker = TurnTaker(PLAIN)
    feed(taker, (1.0, VOICE))
    assert kinds(taker.close()) == ["TurnEnded"]
    assert taker.close() == []
    assert taker.buffered_s == 0.0


@given(
    st.lists(st.tuples(st.integers(1, 60), st.sampled_from([0.0, 0.2, 0.4, 0.6, 1.0])), max_size=40),
    st.sampled_from([PLAIN, TurnSettings(), TurnSettings(part_s=2.0, longest_s=6.0, partial_s=0.5)]),
)
def test_any_stream_gives_well_formed_turns_in_bounded_memory(
    stretches: list[tuple[int, float]], settings: TurnSettings
) -> None:
    taker, events = TurnTaker(settings), list[TurnEvent]()
    for count, probability in stretches:
        for _ in range(count):
            number = taker._sample // WINDOW
            events += taker.push(np.full(WINDOW, number % 30_000, np.int16), probability)
            assert taker.buffered_s <= settings.part_s + 1.0
            assert taker.voiced_s == 0.0 or taker.speaking
    events += feed(taker, (1.0, 0.0))
    assert not taker.speaking
    running, guess, pieces = 0, 0, list[Piece]()
    for event in events:
        if isinstance(event, VoiceStarted):
            assert running == 0
            running, guess, pieces = event.turn, 0, []
        elif isinstance(event, VoiceResumed):
            assert (event.turn, event.attempt) == (running, guess)
            guess = 0
        else:
            piece = event.piece
            assert piece.turn == running
            assert piece.start <= piece.end
            assert len(piece.audio) <= (settings.part_s + 1.0) * SAMPLE_RATE
            values = piece.audio[::WINDOW].astype(int)
            assert np.all(np.diff(values) == 1)
            if isinstance(event, Speculation):
                assert guess == 0
                guess = piece.attempt
            elif isinstance(event, PartEnded | TurnEnded):
                assert guess in (0, piece.attempt)
                assert isinstance(event, TurnEnded) or guess == 0
                pieces.append(piece)
                guess = 0
            if isinstance(event, TurnEnded):
                for before, after in itertools.pairwise(pieces):
                    assert after.first == before.first + len(before.audio)
                assert [piece.part for piece in pieces] == list(range(len(pieces)))
                running = 0
    assert running == 0
