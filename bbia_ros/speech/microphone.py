"""What arrives on audio/mic: checked, mixed to mono, cut into windows, and placed in time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""[Hz] what the voice detector and the transcription work at; audio/mic must deliver it."""
WINDOW = 512
"""Samples per window (32 ms), the voice detector's step."""
_PLACES = 1024
"""Chunks whose time is remembered (20 s of 20 ms chunks)."""
_FULL_SCALE = 32_700
_CLIPPED_SHARE = 0.05
_LONGEST_CHUNK = SAMPLE_RATE


class AudioError(ValueError):
    """A chunk that cannot be used; the text says what is wrong with it and what is wanted.

    Attributes:
        kind: empty, rate, channels, shape or length; messages of one kind can be rate limited together.
    """

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


@dataclass(frozen=True)
class Accepted:
    """What came of a chunk.

    Attributes:
        windows: complete windows of 512 samples, in order.
        lost: chunks missing before this one.
        restarted: the stream began anew (its sequence went back); what was heard before has ended.
        clipped: more than a twentieth of the samples are at full scale.
    """

    windows: list[NDArray[np.int16]]
    lost: int = 0
    restarted: bool = False
    clipped: bool = False


class Microphone:
    """Turns chunks into windows, and window indices into time.

    Owns: fewer than 512 samples that wait for a full window, and the times of the last 1024 chunks. Samples are
    counted from the start; a gap in the stream does not advance the count, `time_ns` accounts for it.
    """

    def __init__(self) -> None:
        self._next_sequence: int | None = None
        self._count = 0
        self._waiting = np.zeros(0, np.int16)
        self._places: deque[tuple[int, int]] = deque(maxlen=_PLACES)

    def accept(
        self, samples: NDArray[np.int16], stamp_ns: int, sequence: int, sample_rate: int, channels: int
    ) -> Accepted:
        """Takes one chunk.

        Args:
            samples: interleaved int16.
            stamp_ns: ROS time of the first sample.
            sequence: counts up by one per chunk.
            sample_rate: [Hz].
            channels: samples per instant.

        Raises:
            AudioError: the chunk is empty, malformed, or of another rate; nothing of it is used.
        """
        if len(samples) == 0:
            raise AudioError("empty", f"audio/mic chunk {sequence} is empty")
        if sample_rate != SAMPLE_RATE:
            raise AudioError("rate", f"audio/mic has {sample_rate} Hz, {SAMPLE_RATE} Hz is needed")
        if not 1 <= channels <= 16:
            raise AudioError("channels", f"audio/mic has {channels} channels, 1 to 16 can be used")
        if len(samples) % channels:
            raise AudioError(
                "shape", f"audio/mic chunk {sequence} has {len(samples)} samples, not a multiple of {channels} channels"
            )
        if len(samples) > _LONGEST_CHUNK * channels:
            raise AudioError(
                "length", f"audio/mic chunk {sequence} has {len(samples) // channels} samples, at most 1 s is taken"
            )
        clipped = float(np.mean((samples >= _FULL_SCALE) | (samples <= -_FULL_SCALE))) > _CLIPPED_SHARE
        if channels > 1:
            samples = samples.reshape(-1, channels).astype(np.int32).mean(axis=1).astype(np.int16)
        lost, restarted = 0, False
        if self._next_sequence is not None and sequence != self._next_sequence:
            ahead = (sequence - self._next_sequence) % 2**32
            restarted = ahead >= 2**31
            lost = 0 if restarted else ahead
        if restarted:
            self._waiting = self._waiting[:0]
        self._next_sequence = (sequence + 1) % 2**32
        self._places.append((self._count + len(self._waiting), stamp_ns))
        audio = np.concatenate([self._waiting, samples])
        whole = len(audio) // WINDOW * WINDOW
        windows = [audio[i : i + WINDOW] for i in range(0, whole, WINDOW)]
        self._waiting = audio[whole:].copy()
        self._count += whole
        return Accepted(windows, lost, restarted, clipped)

    def time_ns(self, sample: int) -> int:
        """ROS time of a sample, counted from the first one that was accepted.

        Samples older than the chunks that are remembered, and those still to come, are extrapolated at 16 kHz.
        """
        if not self._places:
            return 0
        place = self._places[0]
        for candidate in self._newest_first():
            if candidate[0] <= sample:
                place = candidate
                break
        first, stamp = place
        return stamp + round((sample - first) * 1e9 / SAMPLE_RATE)

    def _newest_first(self) -> Iterator[tuple[int, int]]:
        return reversed(self._places)
