"""Sounds and WAV files for the driver's tests."""

import wave

import numpy as np
import pytest

from bbia_ros.driver.audio import to_int16


@pytest.fixture(scope="session")
def tone():
    """Makes a sine of half of full scale."""

    def make(rate, seconds=1.0, frequency=440.0):
        return (0.5 * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def write_wav():
    """Writes samples into a WAV file, the same on every channel."""

    def write(path, samples, rate, channels=1):
        with wave.open(str(path), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(to_int16(np.repeat(samples, channels)).tobytes())
        return path

    return write
