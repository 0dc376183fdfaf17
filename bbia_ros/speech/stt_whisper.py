"""Speech to text by Whisper on CTranslate2, through faster-whisper's parts.

Whisper's encoder always looks at 30 s, however short the line. CTranslate2 accepts fewer frames, and the encoder's time
falls with them: a 3 s line takes 0.13 s in a 15 s window and 0.4 s in the full one (tiny, int8, two threads), with the
same or fewer words misheard when the prompt holds the robot's vocabulary (docs/speech.md). So the first attempt uses a
short window, and a text that looks invented (repetitive, improbable) is tried again with the full 30 s.

Memory: 140 MB private with tiny in int8, 180 MB once a line needed the full window. Audio is an array from end to end,
no file is written.
Licences: faster-whisper and CTranslate2 MIT, Whisper's weights MIT.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bbia_ros.residency.placeholders import placeholders

SAMPLE_RATE = 16_000
"""[Hz] Whisper's rate."""
LONGEST_S = 30.0
"""[s] Whisper's window; longer audio is refused, not cut."""
_FRAMES_PER_SECOND = 100
_TIMESTAMP_STEP_S = 0.02
_MOST_TOKENS_PER_SECOND = 12
"""Fast speech has 6 to 7 tokens per second; a text beyond this is a repetition loop."""


@dataclass(frozen=True)
class HeardWord:
    """A word and its place in the audio [s]."""

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True)
class Transcript:
    """What was said.

    Attributes:
        text: empty when the audio holds no speech.
        language: ISO 639-1 code.
        confidence: exp of the mean log probability of the tokens, [0, 1].
        no_speech: probability that the audio holds no speech, [0, 1].
        words: with times from the start of the audio; empty unless asked for.
    """

    text: str
    language: str
    confidence: float
    no_speech: float
    words: list[HeardWord] = field(default_factory=list)


@dataclass(frozen=True)
class _Attempt:
    tokens: list[int]
    text: str
    logprob: float
    no_speech: float
    encoded: Any

    def looks_invented(self, limits: WhisperEngine) -> bool:
        return (
            self.logprob < limits.logprob_threshold
            or compression_ratio(self.text) > limits.compression_ratio_threshold
            or is_repetition(self.text)
        )


def compression_ratio(text: str) -> float:
    """Bytes of a text per byte of its zlib form; above about 2.4 it repeats itself (Whisper's own measure)."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


def is_repetition(text: str) -> bool:
    """The text is one phrase of three words or more, said over and over to its end."""
    words = ["".join(c for c in word if c.isalnum()).lower() for word in text.split()]
    for length in range(3, len(words) // 2 + 1):
        if all(word == words[i % length] for i, word in enumerate(words)):
            return True
    return False


def _import_model_class() -> Any:
    """Imports faster-whisper without what decodes files, shows progress and serves asyncio: 18 MB."""
    with placeholders("av", "tqdm", "tqdm.auto", "huggingface_hub", "asyncio"):
        from faster_whisper import WhisperModel

        return WhisperModel


class WhisperEngine:
    """Turns a piece of audio into text.

    Owns: the model. Stateless between calls.
    """

    def __init__(
        self,
        model: str,
        device: str = "cpu",
        compute_type: str = "int8",
        threads: int = 2,
        language: str = "auto",
        prompt: str = "",
        beam_size: int = 1,
        window_s: float = 15.0,
        no_speech_threshold: float = 0.6,
        logprob_threshold: float = -1.0,
        compression_ratio_threshold: float = 2.4,
    ) -> None:
        """Loads the model.

        Args:
            model: folder of a Whisper model converted for CTranslate2.
            device: cpu, cuda or auto.
            compute_type: CTranslate2's; int8 is the smallest.
            threads: of the matrix products.
            language: auto, or an ISO 639-1 code such as "en" or "fr".
            prompt: words the visitor is likely to say; biases the spelling of names and commands.
            beam_size: 1 is greedy and fastest.
            window_s: [s] shortest window of the first attempt; 30 turns the short window off.
            no_speech_threshold: above this the audio is silence, if the text is improbable too.
            logprob_threshold: mean log probability of the tokens below which a text is improbable.
            compression_ratio_threshold: above this a text repeats itself.

        Raises:
            RuntimeError: the folder holds no such model, or the language is not one of its own.
        """
        WhisperModel = _import_model_class()  # noqa: N806 - it is a class

        try:
            self._model: Any = WhisperModel(model, device=device, compute_type=compute_type, cpu_threads=threads)
        except Exception as error:  # CTranslate2 and tokenizers raise plain RuntimeError, ValueError, OSError
            raise RuntimeError(f"{model} cannot be loaded as a Whisper model: {error}") from error
        supported = self._model.supported_languages
        if language != "auto" and language not in supported:
            kind = "is English only" if supported == ["en"] else f"knows {', '.join(sorted(supported))}"
            raise RuntimeError(f"the Whisper model in {model} {kind}; it cannot transcribe language '{language}'")
        self._language = "en" if supported == ["en"] else language
        self._prompt, self._beam_size, self._window_s = prompt.strip(), beam_size, window_s
        self.no_speech_threshold = no_speech_threshold
        self.logprob_threshold = logprob_threshold
        self.compression_ratio_threshold = compression_ratio_threshold
        self._tokenizers: dict[str, Any] = {}

    def transcribe(self, audio: NDArray[np.int16], words: bool = False) -> Transcript:
        """Transcribes one line.

        Args:
            audio: mono int16 at 16 kHz, at most 30 s.
            words: also find when each word was said (20 to 40 ms more).

        Raises:
            ValueError: the audio is longer than 30 s or not mono int16.
        """
        if audio.ndim != 1 or audio.dtype != np.int16:
            raise ValueError(f"audio must be mono int16, got {audio.dtype} with shape {audio.shape}")
        duration = len(audio) / SAMPLE_RATE
        if duration > LONGEST_S:
            raise ValueError(f"audio has {duration:.1f} s; Whisper takes {LONGEST_S:.0f} s at a time")
        language = "en" if self._language == "auto" else self._language
        if duration < 0.1 or not np.any(audio):
            return Transcript("", language, 0.0, 1.0)
        features = self._model.feature_extractor(audio.astype(np.float32) / 32768.0)[:, :-1]
        features = features[:, : math.ceil(duration * _FRAMES_PER_SECOND)]
        window = min(LONGEST_S, max(self._window_s, duration + 1.0))
        encoded = self._encode(features, window)
        if self._language == "auto":
            language = self._model.model.detect_language(encoded)[0][0][0].strip("<|>")
        attempt = self._decode(encoded, language, duration, self._beam_size)
        if attempt.text and attempt.looks_invented(self):
            if window < LONGEST_S:
                encoded = self._encode(features, LONGEST_S)
            attempt = self._decode(encoded, language, duration, max(5, self._beam_size))
        silent = attempt.no_speech > self.no_speech_threshold and attempt.logprob < self.logprob_threshold
        if not attempt.text or silent or attempt.looks_invented(self):
            return Transcript("", language, 0.0, attempt.no_speech)
        found = self._words(attempt, language, duration) if words else []
        return Transcript(attempt.text, language, math.exp(min(attempt.logprob, 0.0)), attempt.no_speech, found)

    def _encode(self, features: NDArray[np.float32], window_s: float) -> Any:
        frames = 2 * round(window_s * _FRAMES_PER_SECOND / 2)  # the encoder halves the frames
        padded = np.zeros((features.shape[0], frames), np.float32)
        padded[:, : features.shape[1]] = features[:, :frames]
        return self._model.encode(padded)

    def _decode(self, encoded: Any, language: str, duration: float, beam_size: int) -> _Attempt:
        tokenizer = self._tokenizer(language)
        start = list(tokenizer.sot_sequence)
        if self._prompt:
            start = [tokenizer.sot_prev, *tokenizer.encode(" " + self._prompt)[-200:], *start]
        room = int(_MOST_TOKENS_PER_SECOND * duration) + 8
        result = self._model.model.generate(
            encoded,
            [start],
            beam_size=beam_size,
            max_length=min(448, len(start) + room),
            return_scores=True,
            return_no_speech_prob=True,
            max_initial_timestamp_index=50,
        )[0]
        ids = result.sequences_ids[0]
        kept: list[int] = []
        for token in ids:
            if token >= tokenizer.timestamp_begin:
                # Past the end of the audio there is padding, and what Whisper "hears" there is invented.
                if kept and (token - tokenizer.timestamp_begin) * _TIMESTAMP_STEP_S > duration - 0.1:
                    break
            elif token < tokenizer.eot:
                kept.append(token)
        # CTranslate2 divides the score by the length (length_penalty 1); Whisper counts the end token too.
        logprob = result.scores[0] * len(ids) / (len(ids) + 1) if ids else 0.0
        return _Attempt(kept, tokenizer.decode(kept).strip(), logprob, float(result.no_speech_prob), encoded)

    def _words(self, attempt: _Attempt, language: str, duration: float) -> list[HeardWord]:
        frames = int(duration * _FRAMES_PER_SECOND)
        found = self._model.find_alignment(self._tokenizer(language), [attempt.tokens], attempt.encoded, frames)[0]
        words: list[HeardWord] = []
        for word in found:
            text, end = word["word"].strip(), min(float(word["end"]), duration)
            if words and not any(c.isalnum() for c in text):  # punctuation belongs to the word before it
                words[-1] = replace(words[-1], text=words[-1].text + text)
            elif text:
                probability = float(min(max(word["probability"], 0.0), 1.0))
                words.append(HeardWord(text, min(float(word["start"]), end), end, probability))
        return words

    def _tokenizer(self, language: str) -> Any:
        from faster_whisper.tokenizer import Tokenizer

        if language not in self._tokenizers:
            multilingual = self._model.model.is_multilingual
            self._tokenizers[language] = Tokenizer(
                self._model.hf_tokenizer, multilingual, task="transcribe", language=language
            )
        return self._tokenizers[language]
