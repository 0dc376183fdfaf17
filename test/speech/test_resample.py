import numpy as np
import pytest

from bbia_ros.speech.resample import resample, to_int16


@pytest.mark.parametrize(("rate_in", "rate_out"), [(22_050, 16_000), (16_000, 24_000), (48_000, 16_000)])
def test_a_tone_keeps_its_pitch_level_and_duration(rate_in: int, rate_out: int) -> None:
    fade = np.hanning(rate_in)
    tone = (np.sin(2 * np.pi * 440.0 * np.arange(rate_in) / rate_in) * fade).astype(np.float32)
    out = resample(tone, rate_in, rate_out)
    assert len(out) == rate_out
    wanted = np.sin(2 * np.pi * 440.0 * np.arange(rate_out) / rate_out) * np.hanning(rate_out)
    assert np.max(np.abs(out - wanted)) < 1e-3


def test_what_the_lower_rate_cannot_carry_is_removed_not_folded() -> None:
    tone = (np.sin(2 * np.pi * 10_000.0 * np.arange(22_050) / 22_050) * np.hanning(22_050)).astype(np.float32)
    assert np.max(np.abs(resample(tone, 22_050, 16_000))) < 1e-3


def test_same_rate_and_empty_audio_pass_through() -> None:
    audio = np.ones(5, np.float32)
    assert resample(audio, 16_000, 16_000) is audio
    assert len(resample(np.zeros(0, np.float32), 22_050, 16_000)) == 0


def test_loud_audio_is_clipped_not_wrapped() -> None:
    assert to_int16(np.array([2.0, -2.0, 0.5], np.float32)).tolist() == [32767, -32767, 16384]
