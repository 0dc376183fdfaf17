"""A room for a speech node under test: a microphone and a loudspeaker that run in real time, as the driver has them."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bbia_ros.msg import AudioChunk, AudioPlayback
from bbia_ros.ros import qos
from bbia_ros.ros.testing import NodeRunner

RATE, CHUNK = 16_000, 320
_LOUD = 300


class Room:
    """Publishes audio/mic (faint noise, and what is said into it) and plays audio/speaker, every 20 ms.

    Owns: one thread. The node under test must be active.

    Attributes:
        voice_began: ROS time of the first loud sample of the last line [s].
        voice_ended: ROS time after its last loud sample [s].
    """

    def __init__(self, runner: NodeRunner) -> None:
        self.voice_began = self.voice_ended = 0.0
        self._clock: Any = runner.probe.get_clock()
        self._mic = runner.publisher(AudioChunk, "audio/mic", qos.AUDIO)
        self._reports = runner.publisher(AudioPlayback, "audio/playback", qos.EVENT)
        runner.probe.create_subscription(AudioChunk, "audio/speaker", self._hear, qos.AUDIO)
        self._said: deque[NDArray[np.int16]] = deque()
        self._speaker: deque[AudioChunk] = deque()
        self._position, self._noise = 0.0, np.random.default_rng(0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def say(self, samples: NDArray[np.int16]) -> None:
        """A visitor says a line: mono int16 at 16 kHz."""
        self.voice_began = self.voice_ended = 0.0
        for first in range(0, len(samples), CHUNK):
            self._said.append(samples[first : first + CHUNK])

    @property
    def saying(self) -> bool:
        """A line is being said."""
        return bool(self._said)

    def close(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self._thread.join(5.0)

    def _hear(self, message: AudioChunk) -> None:
        if message.flush:
            self._speaker.clear()
            self._report(message.utterance_id, done=True, flushed=True)
        if len(message.samples):
            self._speaker.append(message)

    def _report(self, name: str, done: bool = False, flushed: bool = False) -> None:
        self._reports.publish(AudioPlayback(utterance_id=name, position_s=self._position, done=done, flushed=flushed))
        if done:
            self._position = 0.0

    def _run(self) -> None:
        sequence, due = 0, time.monotonic()
        while not self._stop.is_set():
            self._speak_into_microphone(sequence)
            if self._speaker:
                chunk = self._speaker.popleft()
                self._position += len(chunk.samples) / chunk.sample_rate
                self._report(chunk.utterance_id, done=chunk.last)
            sequence, due = sequence + 1, due + CHUNK / RATE
            self._stop.wait(max(0.0, due - time.monotonic()))

    def _speak_into_microphone(self, sequence: int) -> None:
        samples = self._noise.normal(0, 3, CHUNK)
        # The chunk is published when its last sample has been recorded: it began 20 ms ago.
        began = self._clock.now().nanoseconds - CHUNK * 1_000_000_000 // RATE
        if self._said:
            said = self._said.popleft()
            samples[: len(said)] += said
            loud = np.flatnonzero(np.abs(samples) > _LOUD)
            if len(loud):
                self.voice_ended = began / 1e9 + (int(loud[-1]) + 1) / RATE
                self.voice_began = self.voice_began or began / 1e9 + int(loud[0]) / RATE
        message = AudioChunk(sequence=sequence, sample_rate=RATE, channels=1)
        message.samples = samples.astype(np.int16).tolist()
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(began, 1_000_000_000)
        self._mic.publish(message)
