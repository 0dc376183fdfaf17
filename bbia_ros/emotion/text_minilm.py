"""Text emotion: int8 MiniLM sentence embeddings in onnxruntime and a small classifier on top.

Runs in a worker process: about 100 MB, 23 of them the weights; 2 ms a sentence on one idle core. The ONNX file is built
at the first load (3 s, minilm_onnx.py) and cached.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bbia_ros.emotion import lexicon
from bbia_ros.emotion.minilm_onnx import ensure_onnx
from bbia_ros.emotion.text_head import TextHead
from bbia_ros.residency.onnx_session import open_session

LONGEST = 128
"""Tokens read of a text; the encoder was trained with no more."""


LEXICON_WEIGHT = 0.5
"""Scale of the lexicon's counts beside an embedding of length 1; chosen by cross-validation."""


class SentenceEncoder:
    """Embeds sentences with the int8 MiniLM.

    Args:
        folder: Holds model.safetensors, config.json and tokenizer.json.
        threads: Threads of onnxruntime.
        cache: Folder of the ONNX file; empty: bbia_ros/text_emotion under the user's cache folder.
    """

    def __init__(self, folder: str, threads: int = 1, cache: str = "") -> None:
        path = ensure_onnx(Path(folder), Path(cache) if cache else None)
        from tokenizers import Tokenizer

        self._tokenizer: Any = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        self._tokenizer.no_padding()  # the file asks for 128 tokens always, fourteen times the work for a short line
        self._tokenizer.enable_truncation(LONGEST)
        self._session: Any = open_session(str(path), "a sentence encoder", threads=threads)

    def embed(self, text: str) -> NDArray[np.float32]:
        """Embedding [384] of length 1 of one text."""
        tokens = np.array([self._tokenizer.encode(text).ids], np.int64)
        feed = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        result: NDArray[np.float32] = self._session.run(None, feed)[0][0]
        return result

    def describe(self, text: str) -> NDArray[np.float32]:
        """What the classifiers look at: the embedding, followed by the counts of the lexicon."""
        return np.concatenate([self.embed(text), LEXICON_WEIGHT * lexicon.features(text)])


class MiniLmTextEmotion:
    """Reads the feeling in a text.

    Args:
        model: Folder of all-MiniLM-L6-v2.
        head: The classifiers (models/text_emotion/head.npz).
        threads: Threads of onnxruntime.
        device: "cpu" or "auto"; the model is too small to gain from a GPU.
        cache: Folder of the ONNX file; empty: the user's cache folder.
    """

    def __init__(self, model: str, head: str, threads: int = 1, device: str = "cpu", cache: str = "") -> None:
        if device == "cuda":
            raise ValueError("The int8 text emotion model runs on the CPU only: set its device to cpu.")
        self._head = TextHead.load(Path(head))
        self._encoder = SentenceEncoder(model, threads, cache)

    def read(self, text: str) -> dict[str, Any]:
        """Reads one text.

        Returns:
            label, intensity, valence, arousal, confidence and scores as in `EmotionReading`; stimulus and
            stimulus_confidence as in `TextReading`.

        Raises:
            ValueError: The text is empty.
        """
        if not text.strip():
            raise ValueError("There is no feeling in an empty text.")
        reading = self._head.read(self._encoder.describe(text))
        emotion = reading.emotion
        return {
            "label": emotion.label,
            "intensity": emotion.intensity,
            "valence": emotion.valence,
            "arousal": emotion.arousal,
            "confidence": emotion.confidence,
            "scores": dict(emotion.scores),
            "stimulus": reading.stimulus,
            "stimulus_confidence": reading.stimulus_confidence,
        }
