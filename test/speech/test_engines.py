"""The engines on their real models, in this process (their place in a run is a worker)."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bbia_ros.residency.catalog import resolve
from bbia_ros.speech.stt_whisper import WhisperEngine, compression_ratio, is_repetition
from bbia_ros.speech.tts_espeak import EspeakEngine
from bbia_ros.speech.tts_piper import PiperEngine
from bbia_ros.speech.vad_silero import WINDOW, SileroVad
from bbia_ros.speech.vocabulary import DEMO_LINES, PROMPT, plain_words

RATE = 16_000
PAUSE = np.zeros(RATE // 4, np.int16)


@pytest.fixture(scope="module")
def piper() -> PiperEngine:
    return PiperEngine(str(resolve("piper-joe", "tts")), seed=1)  # the same sound in every run


@pytest.fixture(scope="module")
def whisper() -> WhisperEngine:
    return WhisperEngine(str(resolve("whisper-tiny", "stt")), prompt=PROMPT)


def said(engine: PiperEngine | EspeakEngine, text: str) -> NDArray[np.int16]:
    rate, samples = engine.speak(text)
    assert rate == RATE
    return np.concatenate([PAUSE, samples, PAUSE])


def test_repetition_is_recognised() -> None:
    assert is_repetition("Good night, go to sleep. Good night, go to sleep.")
    assert not is_repetition("no no no no")
    assert not is_repetition("I see an apple and a duck.")
    assert compression_ratio("la la la " * 20) > 2.4 > compression_ratio("What do you see on the table?")


@pytest.mark.heavy
@pytest.mark.parametrize("line", DEMO_LINES)
def test_piper_is_understood_by_whisper(piper: PiperEngine, whisper: WhisperEngine, line: str) -> None:
    heard = whisper.transcribe(said(piper, line))
    assert plain_words(heard.text) == plain_words(line)
    assert heard.language == "en"
    assert heard.confidence > 0.5


@pytest.mark.heavy
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_espeak_is_understood_by_whisper(whisper: WhisperEngine) -> None:
    heard = whisper.transcribe(said(EspeakEngine("en-us"), "Hello robot, what do you see on the table?"))
    assert plain_words(heard.text) == plain_words("Hello robot, what do you see on the table?")


@pytest.mark.heavy
def test_words_come_with_times(piper: PiperEngine, whisper: WhisperEngine) -> None:
    audio = said(piper, "Please look at the apple.")
    words = whisper.transcribe(audio, words=True).words
    assert [plain_words(w.text) for w in words] == [["please"], ["look"], ["at"], ["the"], ["apple"]]
    assert all(0.0 <= w.start <= w.end <= len(audio) / RATE and 0.0 <= w.probability <= 1.0 for w in words)
    assert [w.start for w in words] == sorted(w.start for w in words)


@pytest.mark.heavy
@pytest.mark.parametrize("sound", ["nothing", "silence", "hiss", "loud noise", "hum", "beeps"])
def test_whisper_invents_no_words(whisper: WhisperEngine, sound: str) -> None:
    rng, t = np.random.default_rng(1), np.arange(2 * RATE) / RATE
    audio = {
        "nothing": np.zeros(0),
        "silence": np.zeros(2 * RATE),
        "hiss": rng.normal(0, 300, 2 * RATE),
        "loud noise": rng.normal(0, 5000, 2 * RATE),
        "hum": 8000 * np.sin(2 * np.pi * 110 * t),
        "beeps": 8000 * np.sin(2 * np.pi * 880 * t) * (np.sin(2 * np.pi * 3 * t) > 0),
    }[sound]
    assert whisper.transcribe(audio.astype(np.int16)).text == ""


@pytest.mark.heavy
def test_whisper_refuses_what_it_cannot_do(whisper: WhisperEngine, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"40\.0 s; Whisper takes 30 s"):
        whisper.transcribe(np.zeros(40 * RATE, np.int16))
    with pytest.raises(ValueError, match="mono int16"):
        whisper.transcribe(np.zeros((10, 2), np.int16))
    with pytest.raises(RuntimeError, match="English only"):
        WhisperEngine(str(resolve("whisper-tiny", "stt")), language="fr")
    with pytest.raises(RuntimeError, match="cannot be loaded as a Whisper model"):
        WhisperEngine(str(tmp_path))


@pytest.mark.heavy
def test_vad_tells_speech_from_silence_and_noise(piper: PiperEngine) -> None:
    vad = SileroVad(str(resolve("silero-vad", "vad")))
    speech = said(piper, "What do you see on the table?")
    voice = np.array(vad.probabilities(speech))
    assert len(voice) == len(speech) // WINDOW
    inside = slice(len(PAUSE) // WINDOW + 3, -len(PAUSE) // WINDOW - 3)
    assert np.mean(voice[inside] > 0.5) > 0.8
    vad.reset()
    assert max(vad.probabilities(np.random.default_rng(2).normal(0, 800, RATE).astype(np.int16))) < 0.5


@pytest.mark.heavy
def test_vad_does_not_depend_on_the_chunk_size(piper: PiperEngine) -> None:
    speech = said(piper, "Good night.")
    vad = SileroVad(str(resolve("silero-vad", "vad")))
    whole = vad.probabilities(speech)
    vad.reset()
    pieces = [p for i in range(0, len(speech), 333) for p in vad.probabilities(speech[i : i + 333])]
    assert pieces == pytest.approx(whole, abs=1e-5)


@pytest.mark.heavy
def test_the_first_sentence_comes_before_the_rest_is_made(piper: PiperEngine) -> None:
    stream = piper.synthesize("I see an apple. I also see a croissant.")
    rate, first = next(stream)
    assert rate == RATE
    assert 0.4 * RATE < len(first) < 2 * RATE
    assert sum(1 for _ in stream) == 1
    assert len(piper.speak("...")[1]) < RATE


@pytest.mark.heavy
def test_a_wrong_voice_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "voice.onnx"
    broken.write_bytes(b"no model")
    Path(f"{broken}.json").write_bytes(Path(f"{resolve('piper-joe', 'tts')}.json").read_bytes())
    with pytest.raises(RuntimeError, match="cannot be loaded as a Piper voice"):
        PiperEngine(str(broken))
    with pytest.raises(RuntimeError, match="cannot be loaded as a Silero VAD model"):
        SileroVad(str(broken))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="apt install espeak-ng"):
        EspeakEngine()
