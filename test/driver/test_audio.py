"""Sound: formats, resampling, WAV files in and out."""

import math
import wave

import numpy as np
import pytest

from bbia_ros.driver.audio import (
    RATE,
    AudioError,
    Resampler,
    WavRecorder,
    WavStream,
    clipped_share,
    from_int16,
    level_dbfs,
    to_int16,
)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 24_000, 44_100, 48_000])
def test_a_tone_of_any_rate_keeps_pitch_level_and_length_in_uneven_pieces(rate, tone):
    resampler = Resampler(rate, RATE)
    source = tone(rate)
    pieces = np.split(source, np.cumsum([7, 441, 100, 1000]))
    out = np.concatenate([resampler.push(piece) for piece in pieces] + [resampler.flush()])
    assert abs(len(out) - RATE) <= 2
    middle = slice(500, 15_000)
    assert np.abs(out[:RATE][middle] - tone(RATE)[: len(out)][middle]).max() < 0.01


def test_what_the_lower_rate_cannot_carry_does_not_fold_back(tone):
    resampler = Resampler(48_000, RATE)
    out = np.concatenate([resampler.push(tone(48_000, frequency=11_000.0)), resampler.flush()])
    assert level_dbfs(out[500:15_000]) < -50.0


def test_levels(tone):
    assert level_dbfs(np.ones(100, np.float32)) == pytest.approx(0.0)
    assert level_dbfs(tone(RATE)) == pytest.approx(-9.03, abs=0.01)
    assert level_dbfs(np.zeros(100, np.float32)) == -math.inf
    assert level_dbfs(np.zeros(0, np.float32)) == -math.inf


def test_full_scale_is_clipped_not_wrapped():
    assert to_int16(np.array([2.0, -2.0, 0.5], np.float32)).tolist() == [32767, -32768, 16384]
    assert clipped_share(np.array([32767, -32768, 0, 5], np.int16)) == 0.5


def test_stereo_becomes_its_mean():
    assert from_int16([16384, 0, -16384, -16384], channels=2).tolist() == [0.25, -0.5]


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (22_050, 1), (44_100, 2)])
def test_a_wav_file_is_streamed_at_16_khz_mono(tmp_path, rate, channels, tone, write_wav):
    stream = WavStream(write_wav(tmp_path / "a.wav", tone(rate, 0.5), rate, channels), gain=0.5)
    assert stream.duration_s == pytest.approx(0.5, abs=0.001)
    pieces = []
    while not stream.finished:
        pieces.append(stream.read(320))
    heard = np.concatenate(pieces)
    assert len(heard) == pytest.approx(8000, abs=1)
    assert np.abs(heard[500:7500] - 0.5 * tone(RATE)[500:7500]).max() < 0.01
    assert len(stream.read(320)) == 0


def test_files_that_cannot_be_played_say_why(tmp_path, tone, write_wav):
    good = write_wav(tmp_path / "good.wav", tone(16_000), 16_000)
    short = tmp_path / "short.wav"
    short.write_bytes(good.read_bytes()[:1000])
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"no sound at all")
    empty = write_wav(tmp_path / "empty.wav", tone(16_000, 0.0), 16_000)
    slow = write_wav(tmp_path / "slow.wav", tone(1000), 1000)
    for path, words in (
        (tmp_path / "gone.wav", "there is no file"),
        (short, "truncated"),
        (noise, "is no WAV file"),
        (empty, "holds no sound"),
        (slow, "samples per second"),
    ):
        with pytest.raises(AudioError, match=words) as caught:
            WavStream(path)
        assert path.name in str(caught.value)
    with pytest.raises(AudioError, match="gain"):
        WavStream(good, gain=math.nan)


def test_a_recording_is_complete_and_bounded(tmp_path, tone):
    recorder = WavRecorder(tmp_path / "new" / "r.wav", limit_s=1.5)
    for _ in range(100):
        recorder.write(tone(RATE)[:320])
    with wave.open(str(tmp_path / "new" / "r.wav")) as file:
        assert file.getnframes() == RATE  # readable while it is being written
    recorder.close()
    recorder.close()
    with wave.open(str(tmp_path / "new" / "r.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (RATE, 1, 24_000)


def test_a_recording_that_cannot_be_written_says_where(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AudioError, match="cannot be written"):
        WavRecorder(tmp_path / "file" / "r.wav")
