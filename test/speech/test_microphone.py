import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bbia_ros.speech.microphone import SAMPLE_RATE, WINDOW, AudioError, Microphone

MS = 1_000_000


def chunk(value: int = 0, size: int = 320) -> np.ndarray:
    return np.full(size, value, np.int16)


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=30))
def test_windows_hold_every_sample_in_order_and_at_its_time(sizes: list[int]) -> None:
    stream = np.arange(sum(sizes), dtype=np.int64).astype(np.int16)
    microphone, place, windows = Microphone(), 0, []
    for number, size in enumerate(sizes):
        stamp = 1_000_000_000 + round(place * 1e9 / SAMPLE_RATE)
        accepted = microphone.accept(stream[place : place + size], stamp, number, SAMPLE_RATE, 1)
        assert (accepted.lost, accepted.restarted) == (0, False)
        windows += accepted.windows
        place += size
    assert all(len(window) == WINDOW for window in windows)
    assert len(windows) == len(stream) // WINDOW
    assert np.array_equal(np.concatenate([*windows, stream[:0]]), stream[: len(windows) * WINDOW])
    for sample in (0, place // 2, place - 1):
        assert abs(microphone.time_ns(sample) - 1_000_000_000 - sample * 1e9 / SAMPLE_RATE) < 1000


def test_a_gap_is_counted_and_time_follows_the_stamps() -> None:
    microphone = Microphone()
    microphone.accept(chunk(), 0, 7, SAMPLE_RATE, 1)
    assert microphone.accept(chunk(), 20 * MS + 60 * MS, 11, SAMPLE_RATE, 1).lost == 3
    assert microphone.time_ns(0) == 0
    assert microphone.time_ns(320) == 80 * MS


def test_sequence_wraps_around_without_a_gap() -> None:
    microphone = Microphone()
    microphone.accept(chunk(), 0, 2**32 - 1, SAMPLE_RATE, 1)
    accepted = microphone.accept(chunk(), 20 * MS, 0, SAMPLE_RATE, 1)
    assert (accepted.lost, accepted.restarted) == (0, False)


def test_a_restarted_stream_is_noticed() -> None:
    microphone = Microphone()
    microphone.accept(chunk(), 0, 500, SAMPLE_RATE, 1)
    accepted = microphone.accept(chunk(), 5_000 * MS, 0, SAMPLE_RATE, 1)
    assert (accepted.lost, accepted.restarted) == (0, True)
    assert microphone.time_ns(0) == 5_000 * MS


def test_channels_are_mixed() -> None:
    stereo = np.tile(np.array([100, 300], np.int16), WINDOW)
    assert np.all(Microphone().accept(stereo, 0, 0, SAMPLE_RATE, 2).windows[0] == 200)


def test_clipping_is_noticed_but_the_audio_is_used() -> None:
    loud = chunk(1000, WINDOW)
    loud[: WINDOW // 10] = 32767
    accepted = Microphone().accept(loud, 0, 0, SAMPLE_RATE, 1)
    assert accepted.clipped
    assert len(accepted.windows) == 1
    assert not Microphone().accept(chunk(20_000, WINDOW), 0, 0, SAMPLE_RATE, 1).clipped


@pytest.mark.parametrize(
    ("samples", "rate", "channels", "kind", "text"),
    [
        (chunk(size=0), 16_000, 1, "empty", "is empty"),
        (chunk(), 44_100, 1, "rate", "44100 Hz, 16000 Hz is needed"),
        (chunk(), 16_000, 0, "channels", "0 channels"),
        (chunk(size=321), 16_000, 2, "shape", "321 samples, not a multiple of 2 channels"),
        (chunk(size=16_001), 16_000, 1, "length", "at most 1 s"),
    ],
)
def test_an_unusable_chunk_is_refused_and_the_stream_goes_on(
    samples: np.ndarray, rate: int, channels: int, kind: str, text: str
) -> None:
    microphone = Microphone()
    microphone.accept(chunk(1), 0, 0, SAMPLE_RATE, 1)
    with pytest.raises(AudioError, match=text) as refused:
        microphone.accept(samples, 20 * MS, 1, rate, channels)
    assert refused.value.kind == kind
    assert len(microphone.accept(chunk(2), 20 * MS, 1, SAMPLE_RATE, 1).windows) == 1
