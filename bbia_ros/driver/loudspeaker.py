"""The loudspeaker's queue: takes chunks a little ahead of time, plays them against the clock, tells what it plays."""

from __future__ import annotations

import collections
import math
import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bbia_ros.driver.audio import RATE, TICK, TICK_S, AudioError, Resampler, Samples, from_int16, level_dbfs

RATES = (16_000, 22_050, 24_000)
"""Sample rates that may be sent [Hz]."""
PERIOD_S = 0.05
"""Time between two reports while something plays [s]."""
PATIENCE_S = 0.5
"""An utterance whose next chunk does not come in time has ended, though no chunk was marked as its last [s]."""


@dataclass(frozen=True)
class Chunk:
    """A piece of speech, as audio/speaker brings it."""

    utterance_id: str
    sample_rate: int
    channels: int
    pcm: npt.NDArray[np.int16]
    flush: bool = False
    last: bool = False


@dataclass(frozen=True)
class Playback:
    """What the loudspeaker is doing; see AudioPlayback.msg."""

    utterance_id: str
    position_s: float
    level_dbfs: float
    done: bool = False
    flushed: bool = False


class _Utterance:
    def __init__(self, name: str, rate: int) -> None:
        self.name = name
        self.rate = rate
        self.resampler = Resampler(rate, RATE)
        self.pieces: collections.deque[Samples] = collections.deque()
        self.queued = 0
        self.played = 0
        self.complete = False
        self.waited_s = 0.0

    def add(self, samples: Samples) -> None:
        if len(samples):
            self.pieces.append(samples)
            self.queued += len(samples)

    def take(self, count: int) -> Samples:
        taken: list[Samples] = []
        while count > 0 and self.pieces:
            piece = self.pieces.popleft()
            if len(piece) > count:
                self.pieces.appendleft(piece[count:])
                piece = piece[:count]
            taken.append(piece)
            count -= len(piece)
        samples = np.concatenate(taken) if taken else np.zeros(0, np.float32)
        self.queued -= len(samples)
        self.played += len(samples)
        return samples


class SpeakerQueue:
    """Jitter buffer and clock of the loudspeaker. Thread-safe: `offer` and `tick` may come from different threads.

    Args:
        buffer_s: Most that may wait [s]; what comes on top is refused.
    """

    def __init__(self, buffer_s: float = 2.0) -> None:
        self._limit = int(buffer_s * RATE)
        self._lock = threading.Lock()
        self._utterances: collections.deque[_Utterance] = collections.deque()
        self._since_report_s = PERIOD_S
        self._recent: collections.deque[Samples] = collections.deque(maxlen=3)
        self.underruns = 0

    def offer(self, chunk: Chunk) -> list[Playback]:
        """Queues a chunk; flush drops everything before it at once.

        Returns:
            Reports of utterances that were flushed.

        Raises:
            AudioError: the chunk is malformed or there is no room; nothing of it is played.
        """
        with self._lock:
            flushed = self._flush() if chunk.flush else []
            if not len(chunk.pcm) and not chunk.last:
                if chunk.flush:
                    return flushed
                raise AudioError("an audio chunk for the loudspeaker holds no samples")
            self._append(chunk)
            return flushed

    def _append(self, chunk: Chunk) -> None:
        if chunk.sample_rate not in RATES:
            raise AudioError(f"the loudspeaker takes {RATES} samples per second, not {chunk.sample_rate}")
        if chunk.channels not in (1, 2) or len(chunk.pcm) % chunk.channels:
            raise AudioError(f"{len(chunk.pcm)} samples of an audio chunk do not fit {chunk.channels} channels")
        length = len(chunk.pcm) // chunk.channels * RATE // chunk.sample_rate
        if sum(utterance.queued for utterance in self._utterances) + length > self._limit:
            raise AudioError(f"more than {self._limit / RATE:.1f} s wait at the loudspeaker; send at real-time pace")
        utterance = self._utterances[-1] if self._utterances else None
        if utterance is None or utterance.name != chunk.utterance_id or utterance.rate != chunk.sample_rate:
            if utterance is not None:
                utterance.complete = True
            utterance = _Utterance(chunk.utterance_id, chunk.sample_rate)
            self._utterances.append(utterance)
        if len(chunk.pcm):
            utterance.add(utterance.resampler.push(from_int16(chunk.pcm, chunk.channels)))
        if chunk.last:
            utterance.add(utterance.resampler.flush())
            utterance.complete = True
        utterance.waited_s = 0.0

    def _flush(self) -> list[Playback]:
        reports = [
            Playback(utterance.name, utterance.played / RATE, -math.inf, done=True, flushed=True)
            for utterance in self._utterances
        ]
        self._utterances.clear()
        self._recent.clear()
        return reports

    def tick(self) -> tuple[Samples, list[Playback]]:
        """Advances by 20 ms. Returns the 320 samples to play and what is to be reported."""
        with self._lock:
            output = np.zeros(TICK, np.float32)
            reports: list[Playback] = []
            filled = 0
            while filled < TICK and self._utterances:
                current = self._utterances[0]
                samples = current.take(TICK - filled)
                output[filled : filled + len(samples)] = samples
                filled += len(samples)
                if current.queued:
                    continue
                if not current.complete:
                    self._wait_for(current, played=len(samples) > 0)
                if not current.complete:
                    break
                reports.append(Playback(current.name, current.played / RATE, level_dbfs(samples), done=True))
                self._utterances.popleft()
                self._since_report_s = PERIOD_S
            self._recent.append(output)
            self._since_report_s += TICK_S
            if self._utterances and self._since_report_s >= PERIOD_S - TICK_S / 2:
                current = self._utterances[0]
                level = level_dbfs(np.concatenate(list(self._recent)))
                reports.append(Playback(current.name, current.played / RATE, level))
                self._since_report_s = 0.0
            return output, reports

    def _wait_for(self, utterance: _Utterance, *, played: bool) -> None:
        if played:
            self.underruns += 1
        utterance.waited_s += TICK_S
        if utterance.waited_s >= PATIENCE_S:
            utterance.complete = True

    @property
    def busy(self) -> bool:
        """Something plays or waits."""
        return bool(self._utterances)
