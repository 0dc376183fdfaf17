"""Text to speech by Piper: a small neural voice, much faster than real time.

Memory: about 130 MB private with a medium voice. Speed: 0.05 to 0.1 s of work per second of speech on two threads;
the first audio of a text is ready when its first sentence is.
Licence: piper-tts is GPL-3.0 (it contains espeak-ng). It is imported here only, inside a worker process, never by
bbia_ros's own processes; with `tts.engine: espeak` it is not needed at all.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bbia_ros.residency.onnx_session import OnnxError, open_session
from bbia_ros.speech.piper_parts import CutFailed, WindowedVoice, ensure_parts
from bbia_ros.speech.resample import resample, to_int16

_logger = logging.getLogger(__name__)


def _open(model: str, device: str, threads: int) -> Any:
    """The voice's two parts, or its one file where it cannot be taken apart, or runs on a GPU."""
    if device == "cpu" and Path(model).is_file():
        try:
            parts = ensure_parts(Path(model))
            return WindowedVoice(*(open_session(str(part), "part of a Piper voice", device, threads) for part in parts))
        except (CutFailed, OnnxError, OSError) as error:
            _logger.warning("long sentences need more memory: %s", error)
    return open_session(model, "a Piper voice", device, threads)


class PiperEngine:
    """Speaks with one Piper voice.

    Owns: the voice.
    """

    def __init__(
        self,
        model: str,
        device: str = "cpu",
        threads: int = 2,
        sample_rate: int = 16_000,
        length_scale: float = 1.0,
        noise_scale: float = 0.667,
        noise_w: float = 0.8,
        volume: float = 0.8,
        speaker: int = 0,
        seed: int = 0,
    ) -> None:
        """Loads the voice.

        Args:
            model: path of the voice's .onnx; its .onnx.json lies beside it.
            device: cpu, cuda or auto.
            threads: of onnxruntime.
            sample_rate: [Hz] of the audio handed out; 0 keeps the voice's own.
            length_scale: duration of the phonemes; above 1 is slower.
            noise_scale: variation of the voice.
            noise_w: variation of the rhythm.
            volume: peak of each sentence, 1 is full scale.
            speaker: index, for voices with several speakers.
            seed: other than 0, the same texts in the same order sound the same in every run.

        Raises:
            RuntimeError: the file or its description is not a Piper voice.
        """
        from piper.config import PiperConfig, SynthesisConfig
        from piper.voice import PiperVoice

        try:
            with open(f"{model}.json", encoding="utf-8") as file:
                config = PiperConfig.from_dict(json.load(file))
        except (OSError, ValueError, KeyError) as error:
            raise RuntimeError(f"{model} cannot be loaded as a Piper voice: {error}") from error
        if seed:
            import onnxruntime

            onnxruntime.set_seed(seed)  # taken over by the sessions made from now on
        session = _open(model, device, threads)
        if not 0 <= speaker < max(1, config.num_speakers):
            raise RuntimeError(f"{model} has {config.num_speakers} speaker(s); there is no speaker {speaker}")
        self._voice: Any = PiperVoice(session=session, config=config)
        self._synthesis: Any = SynthesisConfig(
            speaker_id=speaker,
            length_scale=length_scale,
            noise_scale=noise_scale,
            noise_w_scale=noise_w,
            volume=volume,
        )
        self._rate = sample_rate or int(config.sample_rate)

    def synthesize(self, text: str) -> Iterator[tuple[int, NDArray[np.int16]]]:
        """Speaks a text sentence by sentence.

        Args:
            text: any text; what has no sound (only punctuation) gives no audio.

        Yields:
            (sample rate [Hz], mono int16 samples) for each sentence.
        """
        for piece in self._voice.synthesize(text, self._synthesis):
            audio = resample(np.asarray(piece.audio_float_array, np.float32), piece.sample_rate, self._rate)
            yield self._rate, to_int16(audio)

    def speak(self, text: str) -> tuple[int, NDArray[np.int16]]:
        """Speaks a text in one piece: (sample rate [Hz], mono int16 samples), empty if nothing in it has a sound."""
        pieces = [samples for _, samples in self.synthesize(text)]
        return self._rate, np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
