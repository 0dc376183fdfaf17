"""Text to speech by the espeak-ng command: robotic, tiny, in about a hundred languages.

Memory: nothing stays (one short-lived process per sentence). Speed: some 20 ms per sentence.
Licence: espeak-ng is GPL-3.0; it is run as a program of its own.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import wave
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bbia_ros.speech.resample import resample, to_int16
from bbia_ros.speech.sentences import sentences

_TIMEOUT_S = 20.0


class EspeakEngine:
    """Speaks with espeak-ng.

    Owns: nothing between calls.
    """

    def __init__(
        self,
        model: str = "en-us",
        device: str = "cpu",
        threads: int = 1,
        sample_rate: int = 16_000,
        length_scale: float = 1.0,
        volume: float = 0.8,
        pitch: int = 50,
    ) -> None:
        """Finds the program.

        Args:
            model: name of an espeak-ng voice, for instance "en-us", "fr-fr" or "en-us+f3" (`espeak-ng --voices`).
            device: unused.
            threads: unused, the program has one.
            sample_rate: [Hz] of the audio handed out; 0 keeps espeak's own.
            length_scale: above 1 is slower; 1 is 165 words per minute.
            volume: peak, 1 is full scale.
            pitch: 0 to 99.

        Raises:
            RuntimeError: espeak-ng is not installed, or has no such voice.
        """
        program = shutil.which("espeak-ng")
        if program is None:
            raise RuntimeError("espeak-ng is not installed: apt install espeak-ng")
        self._command = [program, "-v", model, "-s", str(round(165 / length_scale)), "-p", str(pitch), "--stdout"]
        self._rate, self._volume = sample_rate, volume
        try:
            self._say("ready")
        except RuntimeError as error:
            raise RuntimeError(f"espeak-ng cannot use voice '{model}': {error}") from error

    def synthesize(self, text: str) -> Iterator[tuple[int, NDArray[np.int16]]]:
        """Speaks a text sentence by sentence; yields (sample rate [Hz], mono int16 samples) for each."""
        for sentence in sentences(text):
            yield self._say(sentence)

    def speak(self, text: str) -> tuple[int, NDArray[np.int16]]:
        """Speaks a text in one piece: (sample rate [Hz], mono int16 samples)."""
        pieces = list(self.synthesize(text))
        if not pieces:
            return self._rate or 22_050, np.zeros(0, np.int16)
        return pieces[0][0], np.concatenate([samples for _, samples in pieces])

    def _say(self, sentence: str) -> tuple[int, NDArray[np.int16]]:
        # "--" before the text: a text that starts with a dash is not an option.
        done = subprocess.run([*self._command, "--", sentence], capture_output=True, timeout=_TIMEOUT_S, check=False)
        if done.returncode != 0 or not done.stdout:
            raise RuntimeError(done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}")
        # espeak-ng cannot know the length when it writes to a pipe; the header's sizes are placeholders.
        with wave.open(io.BytesIO(done.stdout)) as file:
            rate = file.getframerate()
            header = len(done.stdout) - len(done.stdout.split(b"data", 1)[1]) + 4
        samples = np.frombuffer(done.stdout[header : len(done.stdout) - len(done.stdout[header:]) % 2], "<i2")
        audio = samples.astype(np.float32) / 32768.0
        peak = float(np.max(np.abs(audio), initial=0.0))
        if peak > 0:
            audio *= self._volume / peak
        wanted = self._rate or rate
        return wanted, to_int16(resample(audio, rate, wanted))
