"""Ears and voice of the robot in one clock: microphone to topic, topic to loudspeaker, both recorded on request."""

from __future__ import annotations

from collections.abc import Callable

from bbia_ros.driver.audio import TICK_S, Samples, WavRecorder, clipped_share
from bbia_ros.driver.audio_clock import AudioClock
from bbia_ros.driver.backend import Loudspeaker, Microphone
from bbia_ros.driver.loudspeaker import Chunk, Playback, SpeakerQueue

CLIPPED = 0.01
"""A larger share of samples at full scale is worth a warning."""


class Sound:
    """Owns the audio clock, the loudspeaker's queue and the recordings.

    Args:
        microphone: None: nothing is heard.
        loudspeaker: None: speech is played to nobody, at the same pace.
        heard: Called every 20 ms with the samples and the steady clock's time of the first of them [ns].
        played: Called with what the loudspeaker reports.
        failed: Called with what went wrong; the clock has stopped then.
        speaker_recording: Path of a WAV file, or empty.
        microphone_recording: Path of a WAV file, or empty.

    Raises:
        AudioError: a recording cannot be written.
    """

    def __init__(
        self,
        microphone: Microphone | None,
        loudspeaker: Loudspeaker | None,
        *,
        heard: Callable[[Samples, int], None],
        played: Callable[[Playback], None],
        failed: Callable[[Exception], None],
        speaker_recording: str = "",
        microphone_recording: str = "",
    ) -> None:
        self.queue = SpeakerQueue()
        self._microphone, self._loudspeaker = microphone, loudspeaker
        self._heard, self._played = heard, played
        self._recorders = {
            name: WavRecorder(path)
            for name, path in (("speaker", speaker_recording), ("microphone", microphone_recording))
            if path
        }
        self._clock = AudioClock(self.tick, failed)

    def start(self) -> None:
        """Starts the clock."""
        self._clock.start()

    def stop(self) -> None:
        """Stops the clock and completes the recordings."""
        self._clock.stop()
        for recorder in self._recorders.values():
            recorder.close()

    def say(self, chunk: Chunk) -> str:
        """Queues speech.

        Returns:
            A warning in one sentence, or nothing.

        Raises:
            AudioError: the chunk cannot be played.
        """
        for report in self.queue.offer(chunk):
            self._played(report)
        share = clipped_share(chunk.pcm)
        return f"{share:.0%} of an audio chunk's samples are clipped" if share > CLIPPED else ""

    def tick(self, now_ns: int) -> None:
        """Advances by 20 ms."""
        output, reports = self.queue.tick()
        if self._loudspeaker is not None:
            self._loudspeaker.play(output)
        self._record("speaker", output)
        for report in reports:
            self._played(report)
        if self._microphone is not None:
            samples = self._microphone.read()
            self._record("microphone", samples)
            self._heard(samples, now_ns - int(TICK_S * 1e9))

    def _record(self, name: str, samples: Samples) -> None:
        recorder = self._recorders.get(name)
        if recorder is not None:
            recorder.write(samples)
