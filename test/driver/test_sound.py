"""Ears and voice together, on a clock that the test turns."""

import wave

import numpy as np
import pytest

from bbia_ros.driver.audio import RATE, TICK, AudioError, to_int16
from bbia_ros.driver.audio_clock import AudioClock
from bbia_ros.driver.loudspeaker import Chunk
from bbia_ros.driver.sound import Sound


class Ears:
    def read(self):
        return np.full(TICK, 0.1, np.float32)


class Voice:
    def __init__(self):
        self.heard = []

    def play(self, samples):
        self.heard.append(samples)


def make(tmp_path, **more):
    log = {"heard": [], "played": []}
    sound = Sound(
        Ears(),
        Voice(),
        heard=lambda samples, stamp: log["heard"].append((samples, stamp)),
        played=log["played"].append,
        failed=pytest.fail,
        **more,
    )
    return sound, log


def test_a_tick_hears_plays_and_records(tmp_path):
    paths = {"speaker_recording": str(tmp_path / "s.wav"), "microphone_recording": str(tmp_path / "m.wav")}
    sound, log = make(tmp_path, **paths)
    pcm = to_int16(np.full(2 * TICK, 0.5, np.float32))
    assert sound.say(Chunk("u", RATE, 1, pcm, last=True)) == ""
    for number in range(1, 6):
        sound.tick(number * 20_000_000)
    sound.stop()
    assert [stamp for _, stamp in log["heard"]] == [0, 20_000_000, 40_000_000, 60_000_000, 80_000_000]
    assert [report.done for report in log["played"]][-1]
    with wave.open(paths["speaker_recording"]) as file:
        played = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    assert (played[: 2 * TICK] == pcm[0]).all()
    assert len(played) == 5 * TICK, "silence is recorded too"
    assert not played[2 * TICK :].any()
    with wave.open(paths["microphone_recording"]) as file:
        assert file.getnframes() == 5 * TICK


def test_a_clipped_chunk_is_played_with_a_warning(tmp_path):
    sound, _ = make(tmp_path)
    assert "clipped" in sound.say(Chunk("u", RATE, 1, np.full(TICK, 32767, np.int16)))
    assert sound.queue.busy


def test_an_empty_chunk_is_refused(tmp_path):
    sound, _ = make(tmp_path)
    with pytest.raises(AudioError, match="no samples"):
        sound.say(Chunk("u", RATE, 1, np.zeros(0, np.int16)))


def test_a_flush_is_reported_without_waiting_for_a_tick(tmp_path):
    sound, log = make(tmp_path)
    sound.say(Chunk("u", RATE, 1, np.ones(TICK, np.int16)))
    sound.say(Chunk("", RATE, 1, np.zeros(0, np.int16), flush=True))
    assert [(report.utterance_id, report.flushed) for report in log["played"]] == [("u", True)]


def test_the_clock_keeps_its_pace_and_tells_why_it_stopped():
    stamps, errors = [], []

    def tick(now_ns):
        stamps.append(now_ns)
        if len(stamps) == 5:
            raise ValueError("broken")

    clock = AudioClock(tick, errors.append)
    clock.start()
    clock._thread.join(5.0)
    clock.stop()
    assert np.allclose(np.diff(stamps), 20_000_000, atol=1000)
    assert str(errors[0]) == "broken"
