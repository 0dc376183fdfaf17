"""What can be told of a voice without loading it."""

from __future__ import annotations

import functools
import json


@functools.lru_cache(maxsize=8)
def language_of(engine: str, model: str) -> str:
    """ISO 639-1 code of the language that a voice speaks; empty if it cannot be told.

    Args:
        engine: piper or espeak.
        model: path of a Piper voice (its description lies beside it), or the name of an espeak-ng voice.
    """
    if engine == "espeak":
        return model.split("+")[0].split("-")[0].lower()
    try:
        with open(f"{model}.json", encoding="utf-8") as file:
            description = json.load(file)
        return str(description["espeak"]["voice"]).split("-")[0].lower()
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # the engine says what is wrong with the voice when it loads it
