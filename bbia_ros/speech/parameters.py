"""Parameters of the speech node and the engines that it offers."""

from __future__ import annotations

from dataclasses import dataclass

from bbia_ros.ros.models import Engine, ModelParameters, model_params
from bbia_ros.ros.parameters import nested, param
from bbia_ros.speech.vocabulary import PROMPT

ENGINES = {
    "vad": {"silero": Engine("bbia_ros.speech.vad_silero:SileroVad", "onnxruntime", "pip install onnxruntime")},
    "stt": {
        "whisper": Engine("bbia_ros.speech.stt_whisper:WhisperEngine", "faster_whisper", "pip install faster-whisper")
    },
    "tts": {
        "piper": Engine("bbia_ros.speech.tts_piper:PiperEngine", "piper", "pip install piper-tts"),
        "espeak": Engine("bbia_ros.speech.tts_espeak:EspeakEngine"),
    },
}


@dataclass(frozen=True)
class TurnParameters:
    """When someone speaks and when they have finished."""

    start_probability: float = param(0.5, "a window at or above this holds a voice", minimum=0.05, maximum=0.99)
    stop_probability: float = param(0.35, "in a turn, a window below this is silence", minimum=0.01, maximum=0.99)
    voice_s: float = param(0.09, "voice within 0.16 s that starts a turn [s]", minimum=0.03, maximum=0.16)
    preroll_s: float = param(0.3, "audio kept from before the first voice [s]", minimum=0.0, maximum=1.0)
    speculate_s: float = param(
        0.25, "silence after which the line is transcribed on trial [s]", minimum=0.1, maximum=2.0
    )
    end_s: float = param(0.5, "silence that ends a turn [s]", minimum=0.1, maximum=3.0)
    part_s: float = param(9.0, "a longer line is cut and transcribed in parts [s]", minimum=3.0, maximum=25.0)
    longest_s: float = param(30.0, "a turn ends after this [s]", minimum=5.0, maximum=120.0)
    first_partial_s: float = param(
        1.0, "its first words are made text this far into a turn, so that models for the answer load [s]; 0: never",
        minimum=0.0,
    )  # fmt: skip
    partial_s: float = param(0.0, "new speech after which a text so far is made [s]; 0: only in pauses", minimum=0.0)


@dataclass(frozen=True)
class TranscriptionParameters:
    """How speech becomes text."""

    language: str = param("auto", "ISO 639-1 code, or auto", read_only=True)
    prompt: str = param(PROMPT, "words that are likely to be said", read_only=True)
    beam_size: int = param(1, "hypotheses; 1 is fastest", minimum=1, maximum=10, read_only=True)
    window_s: float = param(
        15.0, "shortest encoder window [s]; 30: Whisper's own", minimum=5.0, maximum=30.0, read_only=True
    )
    words: bool = param(False, "also tell when each word was said (20 to 40 ms more)")
    partials: bool = param(True, "publish texts that may still change")


@dataclass(frozen=True)
class VoiceParameters:
    """How the robot sounds."""

    sample_rate: int = param(16_000, "of audio/speaker [Hz]", minimum=8_000, maximum=48_000, read_only=True)
    length_scale: float = param(1.0, "above 1 is slower", minimum=0.5, maximum=3.0, read_only=True)
    volume: float = param(0.8, "peak level, 1 is full scale", minimum=0.0, maximum=1.0, read_only=True)
    lead_s: float = param(0.2, "audio/speaker is at most this far ahead of playing [s]", minimum=0.05, maximum=0.5)
    most_waiting: int = param(16, "utterances that may be queued", minimum=1, maximum=100, read_only=True)
    ahead_s: float = param(20.0, "audio of one utterance made ahead [s]", minimum=1.0, maximum=60.0)


@dataclass(frozen=True)
class SpeechParameters:
    """Parameters of the speech node; config/speech.yaml comments them."""

    vad_enabled: bool = param(True, "false: loudness decides who speaks, and no model is loaded for it", read_only=True)
    vad: ModelParameters = model_params(
        engine="silero", model="silero-vad", variants=("silero-vad",), declared_mb=40.0, threads=1, pinned=True
    )
    stt: ModelParameters = model_params(
        engine="whisper", model="whisper-tiny", variants=("whisper-small", "whisper-base", "whisper-tiny"),
        declared_mb=190.0,
    )  # fmt: skip
    tts: ModelParameters = model_params(
        engine="piper", model="piper-joe", variants=("piper-joe", "piper-ljspeech"), declared_mb=150.0
    )
    turns: TurnParameters = nested(TurnParameters)
    transcription: TranscriptionParameters = nested(TranscriptionParameters)
    voice: VoiceParameters = nested(VoiceParameters)
    barge_in: bool = param(True, "someone who speaks makes the robot fall silent")
    barge_in_after_s: float = param(0.1, "voice after which the robot falls silent [s]", minimum=0.03, maximum=2.0)


def contradiction(parameters: SpeechParameters) -> str:
    """Why two parameters cannot go together, in one sentence; empty when all can."""
    turns = parameters.turns
    if turns.stop_probability > turns.start_probability:
        return (
            f"turns.stop_probability is {turns.stop_probability}, above turns.start_probability "
            f"{turns.start_probability}: a voice would end before it begins"
        )
    if turns.speculate_s > turns.end_s:
        return f"turns.speculate_s is {turns.speculate_s}, longer than turns.end_s {turns.end_s}"
    return ""
