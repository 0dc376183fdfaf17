"""Sound in numpy: sample formats, WAV files read as a stream, a resampler that goes on across pieces, levels."""

from __future__ import annotations

import math
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
"""Mono, -1 .. 1."""

RATE = 16_000
"""Rate of the microphone and of the loudspeaker's output [Hz]."""
TICK = RATE // 50
"""Samples per piece of 20 ms."""
TICK_S = TICK / RATE
RATES = (4_000, 192_000)
"""Lowest and highest rate of a WAV file that is played [Hz]."""

_HALF_WIDTH = 16  # zero crossings of the sinc on each side
_FULL_SCALE = 32768.0


class AudioError(ValueError):
    """Sound that cannot be played; the message says why."""


def to_int16(samples: Samples) -> npt.NDArray[np.int16]:
    """Returns 16-bit PCM; louder than full scale is clipped."""
    pcm: npt.NDArray[np.int16] = np.clip(np.rint(samples * _FULL_SCALE), -32768, 32767).astype(np.int16)
    return pcm


def from_int16(pcm: npt.ArrayLike, channels: int = 1) -> Samples:
    """Returns mono samples of interleaved 16-bit PCM: the mean of its channels."""
    samples = np.asarray(pcm, dtype=np.int16).astype(np.float32) / np.float32(_FULL_SCALE)
    return samples if channels == 1 else samples.reshape(-1, channels).mean(axis=1)


def level_dbfs(samples: Samples) -> float:
    """Returns the RMS level [dBFS], -inf for silence or nothing; a full-scale square wave is 0."""
    if not len(samples):
        return -math.inf
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return 10.0 * math.log10(power) if power > 1e-10 else -math.inf


def clipped_share(pcm: npt.NDArray[np.int16]) -> float:
    """Returns which share of the samples sits at full scale, 0 .. 1."""
    return float(np.mean((pcm >= 32767) | (pcm <= -32767))) if len(pcm) else 0.0


class Resampler:
    """Band-limited interpolation of a stream with a Hann-windowed sinc.

    After Julius O. Smith, "Digital Audio Resampling", https://ccrma.stanford.edu/~jos/resample/. The output lags by
    `delay` samples of the input, which `flush` brings out at the end.
    """

    def __init__(self, source: int, target: int) -> None:
        self._step = source / target
        # Below the lower Nyquist frequency nothing folds back.
        self._cutoff = min(1.0, target / source) * (1.0 if source == target else 0.95)
        self.delay = 0 if source == target else math.ceil(_HALF_WIDTH / self._cutoff)
        self._buffer: Samples = np.zeros(self.delay, np.float32)
        self._position = float(self.delay)  # of the next output sample, in the buffer

    def push(self, samples: Samples) -> Samples:
        """Takes the next piece of input and returns the output that it completes."""
        if self.delay == 0:
            return samples
        self._buffer = np.concatenate([self._buffer, samples])
        last = len(self._buffer) - 1 - self.delay
        count = math.floor((last - self._position) / self._step) + 1
        if count <= 0:
            return np.zeros(0, np.float32)
        times = self._position + self._step * np.arange(count)
        first = np.floor(times).astype(np.int64) - self.delay + 1
        index = first[:, None] + np.arange(2 * self.delay)[None, :]
        offset = times[:, None] - index
        window = np.cos(np.clip(offset / (self.delay + 1), -1.0, 1.0) * (np.pi / 2.0)) ** 2
        weights = self._cutoff * np.sinc(self._cutoff * offset) * window
        index = np.clip(index, 0, len(self._buffer) - 1)
        output: Samples = np.einsum("ij,ij->i", self._buffer[index], weights).astype(np.float32)
        self._position += self._step * count
        drop = max(0, math.floor(self._position) - self.delay - 1)
        self._buffer = self._buffer[drop:]
        self._position -= drop
        return output

    def flush(self) -> Samples:
        """Returns what is still inside."""
        return self.push(np.zeros(self.delay, np.float32))


class WavStream:
    """A WAV file that is read, mixed to mono and resampled to 16 kHz piece by piece.

    Args:
        path: 16-bit PCM, any number of channels, 4 to 192 kHz.
        gain: Factor on the samples.

    Raises:
        AudioError: the file is missing, damaged or of another format.
    """

    def __init__(self, path: str | Path, gain: float = 1.0) -> None:
        self.path = Path(path).expanduser()
        if not self.path.is_file():
            raise AudioError(f"there is no file {self.path}")
        if not math.isfinite(gain) or not 0.0 < gain <= 100.0:
            raise AudioError(f"gain must be above 0 and at most 100, got {gain}")
        try:
            self._file = wave.open(str(self.path), "rb")  # noqa: SIM115 - stays open while it plays
        except (wave.Error, EOFError, OSError) as error:
            raise AudioError(f"{self.path} is no WAV file with 16-bit PCM: {error or 'it ends too early'}") from error
        try:
            self._check()
        except AudioError:
            self._file.close()
            raise
        self.duration_s = self._file.getnframes() / self._file.getframerate()
        self._gain = np.float32(gain)
        self._resampler = Resampler(self._file.getframerate(), RATE)
        self._left = round(self.duration_s * RATE)
        self._ready: Samples = np.zeros(0, np.float32)
        self._drained = False

    def _check(self) -> None:
        file, name = self._file, self.path
        if file.getsampwidth() != 2:
            raise AudioError(f"{name} has {8 * file.getsampwidth()} bits per sample; 16-bit PCM is wanted")
        if not RATES[0] <= file.getframerate() <= RATES[1]:
            raise AudioError(f"{name} has {file.getframerate()} samples per second, not {RATES[0]} to {RATES[1]}")
        if file.getnframes() == 0:
            raise AudioError(f"{name} holds no sound")
        announced = file.getnframes() * file.getnchannels() * 2
        if announced > self.path.stat().st_size:
            raise AudioError(f"{name} is truncated: it announces {announced} bytes of sound and is shorter than that")

    def read(self, count: int) -> Samples:
        """Returns the next samples at 16 kHz, fewer than `count` at the end, none after it."""
        while len(self._ready) < min(count, self._left) and not self._drained:
            data = self._file.readframes(self._file.getframerate() // 25)
            if data:
                piece = self._resampler.push(from_int16(np.frombuffer(data, "<i2"), self._file.getnchannels()))
            else:
                piece, self._drained = self._resampler.flush(), True
            self._ready = np.concatenate([self._ready, piece])
        taken = self._ready[: min(count, self._left)]
        self._ready = self._ready[len(taken) :]
        self._left = 0 if self._drained and not len(self._ready) else self._left - len(taken)
        return taken * self._gain

    @property
    def finished(self) -> bool:
        """Everything was read."""
        return self._left <= 0

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class WavRecorder:
    """Writes 16 kHz mono to a WAV file, a second at a time; the file is complete up to there at any moment.

    Args:
        path: File to write; its folder is made.
        limit_s: The recording ends there [s].

    Raises:
        AudioError: the file cannot be written.
    """

    def __init__(self, path: str | Path, limit_s: float = 3600.0) -> None:
        self.path = Path(path).expanduser()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file: wave.Wave_write | None = wave.open(str(self.path), "wb")  # noqa: SIM115 - stays open
        except OSError as error:
            raise AudioError(f"the recording {self.path} cannot be written: {error.strerror}") from error
        self._file.setnchannels(1)
        self._file.setsampwidth(2)
        self._file.setframerate(RATE)
        self._left = int(limit_s * RATE)
        self._waiting: list[Samples] = []

    def write(self, samples: Samples) -> None:
        """Appends samples, up to the limit.

        Raises:
            AudioError: the disk is full or the file is gone; the recording is closed.
        """
        if self._file is None or self._left <= 0:
            return
        kept = samples[: self._left]
        self._left -= len(kept)
        self._waiting.append(kept)
        if sum(map(len, self._waiting)) >= RATE:
            self._write_waiting()

    def _write_waiting(self) -> None:
        if self._file is None or not self._waiting:
            return
        data = to_int16(np.concatenate(self._waiting)).tobytes()
        self._waiting.clear()
        try:
            self._file.writeframes(data)
        except OSError as error:
            self._file = None
            raise AudioError(f"the recording {self.path} ends: {error.strerror}") from error

    def close(self) -> None:
        """Writes the rest and closes the file. More than once is fine."""
        self._write_waiting()
        if self._file is not None:
            self._file.close()
            self._file = None
