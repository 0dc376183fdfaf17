"""Parameters of the dialogue node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bbia_ros.ros.models import ModelParameters, model_params
from bbia_ros.ros.parameters import nested, param

PERSONA = "You are Reachy, a small friendly robot. Answer in four or five short sentences."


@dataclass(frozen=True)
class GenerationParameters:
    """How the language model is asked."""

    persona: str = param(PERSONA, "first words of every prompt: who the robot is and how it talks")
    history: int = param(4, "turns that the model itself answered, and go along with a question", minimum=0, maximum=50)
    context_tokens: int = param(
        1024, "prompt and answer together [tokens]; fixes the size of the cache", minimum=256, maximum=131072,
        read_only=True,
    )  # fmt: skip
    answer_tokens: int = param(96, "longest answer [tokens]", minimum=8, maximum=4096)
    temperature: float = param(0.3, "0: always the likeliest word", minimum=0.0, maximum=2.0)
    top_p: float = param(0.9, "share of the likeliest words to choose from", minimum=0.01, maximum=1.0)
    repeat_penalty: float = param(1.1, "above 1: discourages repeating itself", minimum=0.5, maximum=2.0)
    seed: int = param(-1, "0 or more: the same prompt gives the same answer; -1: a new one each time", minimum=-1)
    timeout_s: float = param(30.0, "longest wait for a piece of the answer [s]", minimum=0.5, maximum=600.0)
    languages: tuple[str, ...] = param(("en",), "languages that the model speaks; others get a polite refusal")


@dataclass(frozen=True)
class ServerParameters:
    """The OpenAI-compatible server of the engine `openai`."""

    base_url: str = param("http://127.0.0.1:8080/v1", "address up to /chat/completions", read_only=True)
    api_key_env: str = param("OPENAI_API_KEY", "environment variable that holds the key", read_only=True)


@dataclass(frozen=True)
class TransformersParameters:
    """How the engine `transformers` loads a model."""

    dtype: str = param(
        "bfloat16", "of the weights; int8: half the memory of bfloat16", choices=("bfloat16", "float32", "int8"),
        read_only=True,
    )  # fmt: skip
    chat_template: str = param("", "path of a Jinja file; empty: the one that the model brings", read_only=True)


@dataclass(frozen=True)
class MemoryParameters:
    """What is remembered, and where."""

    enabled: bool = param(True, "keep the conversation and what people asked to remember on disk", read_only=True)
    folder: str = param("", "where; empty: $XDG_STATE_HOME/bbia_ros/dialogue", read_only=True)
    max_messages: int = param(1000, "messages kept in memory", minimum=2, maximum=1000, read_only=True)
    compress_bytes: int = param(
        1_000_000, "the file is compressed when it is larger [byte]", minimum=1000, maximum=100_000_000, read_only=True
    )


@dataclass(frozen=True)
class MoveParameters:
    """Moves that spoken commands ask for, by name."""

    dance: str = param("groovy_sway_and_roll", "move for a dance")
    nod: str = param("nod", "move for a nod")


@dataclass(frozen=True)
class DialogueParameters:
    """Parameters of the dialogue node."""

    chat: ModelParameters = model_params(
        engine="llama", model="smollm2-135m", variants=("smollm2-1.7b", "smollm2-360m", "smollm2-135m"),
        declared_mb=190.0, threads=1,
    )  # fmt: skip
    generation: GenerationParameters = nested(GenerationParameters)
    server: ServerParameters = nested(ServerParameters)
    transformers: TransformersParameters = nested(TransformersParameters)
    memory: MemoryParameters = nested(MemoryParameters)
    moves: MoveParameters = nested(MoveParameters)
    speak: bool = param(True, "say answers to spoken words aloud")
    prefetch: bool = param(True, "load the language model at the first heard words that no rule answers")
    minimum_confidence: float = param(0.15, "utterances less certain than this are ignored", minimum=0.0, maximum=1.0)
    minimum_score: float = param(0.4, "detections less certain than this are not told", minimum=0.0, maximum=1.0)
    sleep_wait_s: float = param(
        15.0, "longest wait for the last words before the robot goes to sleep [s]", minimum=0.0, maximum=120.0
    )


def engine_arguments(p: DialogueParameters) -> dict[str, Any]:
    """What the chosen chat engine's constructor is told besides model, device and threads."""
    if p.chat.engine == "openai":
        return {"base_url": p.server.base_url, "api_key_env": p.server.api_key_env}
    arguments: dict[str, Any] = {"context": p.generation.context_tokens}
    if p.chat.engine == "transformers":
        arguments |= {"dtype": p.transformers.dtype, "chat_template": p.transformers.chat_template}
    return arguments
