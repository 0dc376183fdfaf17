"""Sample rates of voices against the loudspeaker's: one exact conversion of a finished piece of audio."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def resample(audio: NDArray[np.float32], rate_in: int, rate_out: int) -> NDArray[np.float32]:
    """Band-limited conversion of a whole piece by its spectrum.

    The piece is padded with silence to a length whose conversion is a whole number of samples, so that pitch and
    duration are exact. The method takes the piece as periodic: a piece that starts and ends near silence, as a
    synthesised sentence does, is converted without a trace of that.

    Args:
        audio: mono, any length.
        rate_in: [Hz] of `audio`.
        rate_out: [Hz] wanted.

    Returns:
        ceil(len(audio) * rate_out / rate_in) samples.
    """
    if rate_in == rate_out or len(audio) == 0:
        return audio
    common = math.gcd(rate_in, rate_out)
    up, down = rate_out // common, rate_in // common
    blocks = -(-len(audio) // down) + 1
    spectrum = np.fft.rfft(np.pad(audio, (0, blocks * down - len(audio))))
    length = blocks * up
    if length < blocks * down:
        spectrum = spectrum[: length // 2 + 1]
        if length % 2 == 0:
            spectrum[-1] = spectrum[-1].real  # the new Nyquist bin has no partner
    converted = np.fft.irfft(spectrum, length) * (up / down)
    return converted[: -(-len(audio) * rate_out // rate_in)].astype(np.float32)


def to_int16(audio: NDArray[np.float32]) -> NDArray[np.int16]:
    """Full scale 1.0 to 16 bit, clipped rather than wrapped."""
    samples: NDArray[np.int16] = np.rint(np.clip(audio, -1.0, 1.0) * 32767.0).astype(np.int16)
    return samples
