"""The loudspeaker's queue, tick by tick."""

import numpy as np
import pytest

from bbia_ros.driver.audio import RATE, TICK, AudioError, to_int16
from bbia_ros.driver.loudspeaker import Chunk, SpeakerQueue


def chunk(name="u1", seconds=0.02, rate=RATE, value=0.25, channels=1, **flags):
    pcm = np.full(int(rate * seconds) * channels, to_int16(np.float32(value)), np.int16)
    return Chunk(name, rate, channels, pcm, **flags)


def play_all(queue, ticks=200):
    outputs, reports = [], []
    for _ in range(ticks):
        output, told = queue.tick()
        outputs.append(output)
        reports += told
        if not queue.busy:
            break
    return np.concatenate(outputs), reports


def test_what_is_sent_is_played_in_order_and_reported_at_20_hz_and_at_its_end():
    queue = SpeakerQueue()
    for index in range(10):
        queue.offer(chunk(value=0.1 * (index % 5), last=index == 9))
    output, reports = play_all(queue)
    assert len(output) == 11 * TICK or len(output) == 10 * TICK
    assert np.allclose(output.reshape(-1, TICK)[:10, 0], [0.1 * (i % 5) for i in range(10)], atol=1e-4)
    positions = [report.position_s for report in reports]
    assert positions == sorted(positions)
    assert 4 <= len(reports) <= 6
    assert [report.done for report in reports] == [False] * (len(reports) - 1) + [True]
    assert positions[-1] == pytest.approx(0.2)
    assert not any(report.flushed for report in reports)


@pytest.mark.parametrize("rate", [16_000, 22_050, 24_000])
def test_every_rate_keeps_its_duration(rate):
    queue = SpeakerQueue()
    for index in range(25):
        queue.offer(chunk(rate=rate, last=index == 24))
    output, reports = play_all(queue)
    assert reports[-1].position_s == pytest.approx(0.5, abs=0.005)
    assert output[2000:5000].mean() == pytest.approx(0.25, abs=0.01)


def test_two_utterances_play_one_after_the_other_without_a_gap():
    queue = SpeakerQueue()
    queue.offer(chunk("a", 0.03, last=True))
    queue.offer(chunk("b", 0.03, value=-0.25, last=True))
    output, reports = play_all(queue)
    assert np.allclose(output[: int(0.03 * RATE)], 0.25, atol=1e-3)
    assert np.allclose(output[int(0.03 * RATE) : int(0.06 * RATE)], -0.25, atol=1e-3)
    assert [report.utterance_id for report in reports if report.done] == ["a", "b"]


def test_flush_is_heard_in_the_next_tick_and_told_at_once():
    queue = SpeakerQueue()
    for _ in range(20):
        queue.offer(chunk("old"))
    queue.tick()
    (report,) = queue.offer(Chunk("", RATE, 1, np.zeros(0, np.int16), flush=True))
    assert (report.utterance_id, report.done, report.flushed) == ("old", True, True)
    assert report.position_s == pytest.approx(0.02)
    output, reports = queue.tick()
    assert not output.any()
    assert reports == []


def test_a_flush_with_samples_starts_something_new():
    queue = SpeakerQueue()
    queue.offer(chunk("old", 0.5))
    queue.offer(chunk("new", 0.02, value=-0.5, flush=True, last=True))
    output, reports = play_all(queue)
    assert np.allclose(output[:TICK], -0.5, atol=1e-3)
    assert [report.utterance_id for report in reports if report.done] == ["new"]


def test_an_utterance_without_a_last_chunk_ends_after_a_while():
    queue = SpeakerQueue()
    queue.offer(chunk())
    _, reports = play_all(queue, ticks=60)
    assert reports[-1].done
    assert reports[-1].position_s == pytest.approx(0.02)
    assert not queue.busy


def test_a_late_chunk_is_an_underrun_not_an_end():
    queue = SpeakerQueue()
    queue.offer(chunk())
    for _ in range(5):
        queue.tick()
    queue.offer(chunk(last=True))
    _, reports = play_all(queue)
    assert queue.underruns == 1
    assert reports[-1].position_s == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (chunk(seconds=0.0), "no samples"),
        (Chunk("u", 44_100, 1, np.zeros(10, np.int16)), "samples per second"),
        (Chunk("u", RATE, 2, np.zeros(11, np.int16)), "do not fit"),
        (Chunk("u", RATE, 0, np.zeros(10, np.int16)), "do not fit"),
        (chunk(seconds=3.0), "wait at the loudspeaker"),
    ],
)
def test_a_chunk_that_cannot_be_played_is_refused_and_the_rest_goes_on(bad, words):
    queue = SpeakerQueue()
    queue.offer(chunk(value=0.5))
    with pytest.raises(AudioError, match=words):
        queue.offer(bad)
    output, _ = queue.tick()
    assert np.allclose(output, 0.5, atol=1e-3)


def test_an_empty_last_chunk_ends_the_utterance():
    queue = SpeakerQueue()
    queue.offer(chunk())
    queue.offer(Chunk("u1", RATE, 1, np.zeros(0, np.int16), last=True))
    _, reports = play_all(queue)
    assert reports[-1].done
