"""The voice with a loudspeaker that takes what it gets; durations are short, nothing is timed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from bbia_ros.residency.errors import LoadFailed, WorkerDied
from bbia_ros.speech.voice import Outcome, Samples, SpeakerChunk, SpokenLine, Voice

RATE = 16_000


class Room:
    """Runs a voice in two threads; `plays` decides whether the loudspeaker reports what it gets as played."""

    def __init__(self, synthesize: Callable[[str], tuple[int, Samples]], plays: bool = True, **options: float) -> None:
        self.plays, self.position = plays, 0.0
        self.chunks: queue.Queue[SpeakerChunk] = queue.Queue()
        self.all_chunks: list[SpeakerChunk] = []
        self.states: list[str] = []
        self.troubles: list[str] = []
        self.voice = Voice(
            synthesize, self.hear, lambda: self.states.append(self.voice.speaking), self.troubles.append,
            **options,  # type: ignore[arg-type]
        )  # fmt: skip
        self.errors: list[Exception] = []
        self.lanes = [queue.Queue[SpokenLine | None](), queue.Queue[SpokenLine | None]()]
        self.threads = [
            threading.Thread(target=self.run, args=(lane, work))
            for lane, work in zip(self.lanes, (self.voice.make, self.voice.play), strict=True)
        ]
        for thread in self.threads:
            thread.start()

    def run(self, lane: queue.Queue[SpokenLine | None], work: Callable[[SpokenLine], None]) -> None:
        while (line := lane.get()) is not None:
            try:
                work(line)
            except Exception as error:
                self.errors.append(error)

    def hear(self, chunk: SpeakerChunk) -> None:
        self.all_chunks.append(chunk)
        self.chunks.put(chunk)
        if self.plays and not chunk.flush:
            self.position += len(chunk.samples) / chunk.sample_rate
            report = (chunk.utterance_id, self.position, chunk.last, False)
            threading.Thread(target=self.voice.on_playback, args=report).start()
            if chunk.last:
                self.position = 0.0

    def say(self, text: str, name: str = "u1") -> queue.Queue[Outcome]:
        ends: queue.Queue[Outcome] = queue.Queue()
        line = SpokenLine(name, text, ends.put)
        self.voice.say(line)
        for lane in self.lanes:
            lane.put(line)
        return ends

    def close(self) -> None:
        self.voice.close()
        for lane in self.lanes:
            lane.put(None)
        for thread in self.threads:
            thread.join(5.0)
            assert not thread.is_alive()


def tone(text: str) -> tuple[int, Samples]:
    return RATE, np.full(len(text) * 160, 1000, np.int16)  # 10 ms per character


@pytest.fixture
def rooms() -> Iterator[list[Room]]:
    made: list[Room] = []
    yield made
    for room in made:
        room.close()


def make(rooms: list[Room], *args: Callable[[str], tuple[int, Samples]], **options: float) -> Room:
    rooms.append(Room(*args, **options))  # type: ignore[arg-type]
    return rooms[-1]


def test_every_sample_is_sent_once_in_order_and_the_last_chunk_says_so(rooms: list[Room]) -> None:
    room = make(rooms, tone)
    outcome = room.say("Hello there. I see an apple.").get(timeout=5)
    assert outcome.ok
    assert outcome.message == ""
    assert sum(len(chunk.samples) for chunk in room.all_chunks) == round(outcome.duration_s * RATE) == 27 * 160
    assert outcome.spoken_s == pytest.approx(outcome.duration_s)
    assert [chunk.last for chunk in room.all_chunks] == [False] * (len(room.all_chunks) - 1) + [True]
    assert [chunk.sequence for chunk in room.all_chunks] == list(range(len(room.all_chunks)))
    assert room.states == ["u1", ""]


def test_utterances_queue_in_order_and_the_next_is_made_while_one_is_heard(rooms: list[Room]) -> None:
    second_made = threading.Event()

    def synthesize(text: str) -> tuple[int, Samples]:
        if text == "Second.":
            second_made.set()
        return tone(text)

    room = make(rooms, synthesize, plays=False)
    first = room.say("First utterance of the two.", "a")
    second = room.say("Second.", "b")
    assert second_made.wait(5)
    assert first.empty()
    room.plays = True
    room.voice.on_playback("a", 0.27, True, False)
    first.get(timeout=5)
    second.get(timeout=5)
    names = [chunk.utterance_id for chunk in room.all_chunks]
    assert names == sorted(names)


def test_interruption_flushes_the_loudspeaker_and_drops_the_queue(rooms: list[Room]) -> None:
    room = make(rooms, lambda text: (RATE, np.ones(10 * RATE, np.int16)), plays=False)
    first, second = room.say("A long story.", "a"), room.say("And another.", "b")
    room.chunks.get(timeout=5)
    assert room.voice.interrupt() == 2
    for ends in (first, second):
        outcome = ends.get(timeout=5)
        assert not outcome.ok
        assert outcome.interrupted
        assert outcome.spoken_s < 10.0
    assert [c.utterance_id for c in room.all_chunks if c.flush] == ["a"]
    assert room.all_chunks[-1].flush
    assert room.voice.waiting == 0
    assert room.states[-1] == ""
    room.plays = True
    room.position = 0.0
    room.voice._synthesize = tone
    assert room.say("Still here.", "c").get(timeout=5).ok


def test_one_utterance_can_be_cancelled_while_it_waits(rooms: list[Room]) -> None:
    room = make(rooms, lambda text: (RATE, np.ones(RATE, np.int16)), plays=False)
    room.say("First.", "a")
    ends: queue.Queue[Outcome] = queue.Queue()
    line = SpokenLine("b", "Second.", ends.put)
    room.voice.say(line)
    assert room.voice.cancel(line)
    assert ends.get(timeout=5).interrupted
    assert not room.voice.cancel(line)
    assert not any(chunk.flush for chunk in room.all_chunks)


def test_a_sentence_is_made_again_after_its_worker_died(rooms: list[Room]) -> None:
    deaths = [WorkerDied("the worker of 'tts' died")]

    def synthesize(text: str) -> tuple[int, Samples]:
        if text == "Two." and deaths:
            raise deaths.pop()
        return tone(text)

    room = make(rooms, synthesize)
    outcome = room.say("One. Two. Three.").get(timeout=5)
    assert outcome.ok
    assert outcome.duration_s == pytest.approx(0.14)
    assert len(room.troubles) == 1
    assert room.errors == []


def test_a_voice_that_fails_ends_the_utterance_with_one_sentence(rooms: list[Room]) -> None:
    def synthesize(text: str) -> tuple[int, Samples]:
        if text == "Two.":
            raise LoadFailed("the model is truncated")
        return tone(text)

    room = make(rooms, synthesize)
    outcome = room.say("One. Two. Three.").get(timeout=5)
    assert (outcome.ok, outcome.message) == (False, "the voice failed: the model is truncated")
    assert outcome.duration_s == pytest.approx(0.04)
    assert room.all_chunks[-1].last
    silent = room.say("Two.", "u2").get(timeout=5)
    assert (silent.ok, silent.duration_s) == (False, 0.0)


def test_without_a_loudspeaker_the_utterance_is_not_called_spoken(
    rooms: list[Room], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bbia_ros.speech.voice._GRACE_S", 0.05)
    room = make(rooms, tone, plays=False)
    outcome = room.say("Anybody?").get(timeout=5)
    assert not outcome.ok
    assert "is the driver active?" in outcome.message


def test_a_loudspeaker_that_was_silenced_ends_the_utterance(rooms: list[Room]) -> None:
    room = make(rooms, lambda text: (RATE, np.ones(10 * RATE, np.int16)), plays=False)
    ends = room.say("A long story.")
    room.chunks.get(timeout=5)
    room.voice.on_playback("other", 0.0, True, True)
    room.voice.on_playback("u1", 0.06, True, True)
    outcome = ends.get(timeout=5)
    assert outcome.interrupted
    assert outcome.spoken_s == 0.06


def test_a_sentence_that_comes_late_is_still_heard_whole(rooms: list[Room]) -> None:
    late = threading.Event()

    def synthesize(text: str) -> tuple[int, Samples]:
        assert text == "First." or late.wait(5)
        return tone(text)

    room = make(rooms, synthesize, plays=False)
    ends = room.say("First. And the second one.")
    room.chunks.get(timeout=5)
    room.voice.on_playback("u1", 0.04, True, False)  # the loudspeaker gave up waiting
    late.set()
    while not room.chunks.get(timeout=5).last:
        pass
    assert ends.empty()
    room.voice.on_playback("u1", 0.21, True, False)  # and counts from zero
    outcome = ends.get(timeout=5)
    assert outcome.ok
    assert outcome.spoken_s == pytest.approx(0.25)


def test_what_cannot_be_spoken_and_what_is_too_much_is_refused(rooms: list[Room]) -> None:
    room = make(rooms, tone, plays=False, most_waiting=2)
    assert "nothing that can be spoken" in str(room.voice.refusal(" ... "))
    assert room.voice.refusal("Hello.") is None
    room.voice.say(SpokenLine("a", "One.", lambda _: None))
    assert "'a' waits already" in str(room.voice.refusal("Hello.", "a"))
    room.voice.say(SpokenLine("b", "Two.", lambda _: None))
    assert "2 utterances wait" in str(room.voice.refusal("Hello."))


def test_a_closed_voice_ends_what_comes(rooms: list[Room]) -> None:
    room = make(rooms, tone)
    room.voice.close()
    assert room.say("Hello.").get(timeout=5).message == "the robot's voice is off"


def test_audio_made_ahead_is_bounded(rooms: list[Room]) -> None:
    made = queue.Queue[str]()

    def synthesize(text: str) -> tuple[int, Samples]:
        made.put(text)
        return RATE, np.ones(RATE, np.int16)

    room = make(rooms, synthesize, plays=False, ahead_s=1.5)
    room.say(" ".join(f"Sentence {i}." for i in range(50)))
    for _ in range(2):
        made.get(timeout=5)
    room.voice.interrupt()
    assert made.qsize() <= 2
