"""Voice activity by Silero (v6, ONNX): how likely each 32 ms of microphone audio holds a voice.

Memory: about 28 MB private in its worker, most of it onnxruntime.
Speed: 0.2 ms per window on one thread of a small x86 core. Licence of the model: MIT.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bbia_ros.residency.onnx_session import open_session

SAMPLE_RATE = 16_000
"""[Hz] the only rate this model is used at."""
WINDOW = 512
"""Samples per probability (32 ms): fixed by the model."""
_CONTEXT = 64
"""Samples of the previous window that the model wants in front of each window."""


class SileroVad:
    """A stream of audio in, a stream of probabilities out; the recurrent state lives here between calls.

    Owns: the session, its state and the samples that do not fill a window yet. One stream per instance.
    """

    def __init__(self, model: str, device: str = "cpu", threads: int = 1) -> None:
        """Loads the model.

        Args:
            model: path of silero_vad_v6.onnx.
            device: cpu or cuda; auto is cpu, since windows this small gain nothing elsewhere.
            threads: of onnxruntime; more than one does not pay for windows this small.

        Raises:
            RuntimeError: the file is not a Silero v6 model.
        """
        self._session: Any = open_session(model, "a Silero VAD model", "cpu" if device == "auto" else device, threads)
        names = {entry.name for entry in self._session.get_inputs()}
        if names != {"input", "h", "c"}:
            raise RuntimeError(f"{model} has the inputs {sorted(names)}; a Silero v6 model has c, h and input")
        self.reset()

    def reset(self) -> None:
        """Forgets the stream so far: state, context and samples that wait for a full window."""
        self._h = np.zeros((1, 1, 128), np.float32)
        self._c = np.zeros((1, 1, 128), np.float32)
        self._tail = np.zeros(_CONTEXT, np.float32)
        self._waiting = np.zeros(0, np.float32)

    def probabilities(self, samples: NDArray[np.int16]) -> list[float]:
        """Continues the stream.

        Args:
            samples: mono int16 at 16 kHz, any number of them.

        Returns:
            One probability in [0, 1] for each window of 512 samples that is now complete; the rest waits for the
            next call.
        """
        audio = np.concatenate([self._waiting, samples.astype(np.float32) / 32768.0])
        count = len(audio) // WINDOW
        self._waiting = audio[count * WINDOW :]
        if count == 0:
            return []
        windows = audio[: count * WINDOW].reshape(count, WINDOW)
        context = np.vstack([self._tail[None], windows[:-1, -_CONTEXT:]])
        self._tail = windows[-1, -_CONTEXT:].copy()
        batch = np.concatenate([context, windows], axis=1)
        out, self._h, self._c = self._session.run(None, {"input": batch, "h": self._h, "c": self._c})
        return [float(value) for value in np.asarray(out).reshape(-1)]
