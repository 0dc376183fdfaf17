"""The simulated room: what the microphone hears. WAV lines play one after the other over a low noise floor.

The robot's own voice is not in it: as if its echo were cancelled.
"""

from __future__ import annotations

import collections
import random
import threading

import numpy as np

from bbia_ros.driver.audio import TICK, AudioError, Samples, WavStream

LINES_MAX = 10
"""Most lines that may wait."""
NOISE_DBFS = -75.0
"""RMS level of the room's noise [dBFS]."""


class Room:
    """A microphone (`backend.Microphone`) in a room where WAV files are played. Thread-safe.

    Args:
        seed: Of the noise.
    """

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._lines: collections.deque[WavStream] = collections.deque()
        # One second of noise, repeated from a different place each time: cheaper than new noise for every piece.
        self._random = random.Random(seed)  # numpy's generators would cost the process 2 MB
        sigma = 10.0 ** (NOISE_DBFS / 20.0)
        self._noise = np.array([self._random.gauss(0.0, sigma) for _ in range(16_000)], np.float32)

    def play(self, path: str, gain: float = 1.0) -> float:
        """Queues a WAV file behind those that wait.

        Returns:
            Its duration [s].

        Raises:
            AudioError: the file cannot be played, or too many wait.
        """
        line = WavStream(path, gain)
        with self._lock:
            if len(self._lines) >= LINES_MAX:
                line.close()
                raise AudioError(f"{LINES_MAX} lines wait in the room already; play {line.path.name} later")
            self._lines.append(line)
        return line.duration_s

    def read(self) -> Samples:
        """Returns the next 20 ms."""
        start = self._random.randrange(len(self._noise) - TICK)
        heard: Samples = self._noise[start : start + TICK].copy()
        with self._lock:
            if self._lines:
                samples = self._lines[0].read(TICK)
                heard[: len(samples)] += samples
                if self._lines[0].finished:
                    self._lines.popleft().close()
        return heard

    def clear(self) -> None:
        """Drops all lines."""
        with self._lock:
            while self._lines:
                self._lines.popleft().close()
