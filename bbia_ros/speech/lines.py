"""Lines of a simulated visitor as WAV files, made once and kept in the cache."""

from __future__ import annotations

import hashlib
import json
import os
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bbia_ros.residency import ModelSpec, Pool
from bbia_ros.residency.catalog import resolve
from bbia_ros.resources import cache_folder

RATE = 16_000
"""[Hz] of the files, mono, 16 bit."""
_PITCH_RATE = 13_440
"""[Hz] the voice is made at and then called 16 kHz: three semitones above the robot's own voice."""
_TEMPO = 1.1
_VOICE: dict[str, Any] = {
    "sample_rate": _PITCH_RATE,
    "length_scale": _TEMPO * RATE / _PITCH_RATE,
    "noise_scale": 0.5,
    "noise_w": 0.6,
    "volume": 0.6,
    "seed": 7,
}
_TIMEOUT_S = 60.0


def synthesize_lines(
    texts: Sequence[str], folder: Path | None = None, pool: Pool | None = None, voice: str = "piper-joe"
) -> list[Path]:
    """Makes the lines that are not there yet.

    Args:
        texts: one line each.
        folder: where the files go; None: lines/ in the cache folder of bbia_ros.
        pool: whose worker speaks; None: one for this call, gone at its end.
        voice: Piper voice, by name or path.

    Returns:
        One file per text, in order. Equal texts share a file.

    Raises:
        ModelNotFound: the voice is not installed.
        ResidencyError: the voice could not be loaded or failed.
    """
    folder = cache_folder("lines") if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    model = str(resolve(voice, "tts"))
    paths = [folder / f"{_key(text, model)}.wav" for text in texts]
    missing = {path: text for path, text in zip(paths, texts, strict=True) if not path.exists()}
    if not missing:
        return paths
    spec = ModelSpec(
        name=f"visitor:{voice}",
        task="tts",
        engine="bbia_ros.speech.tts_piper:PiperEngine",
        arguments={"model": model, **_VOICE},
        declared_mb=190.0,
    )
    own = None
    if pool is None:
        pool = own = Pool()
    try:
        with pool.acquire(spec) as lease:
            for path, text in missing.items():
                _, samples = lease.call("speak", text, timeout_s=_TIMEOUT_S)
                _write(path, samples)
    finally:
        if own is not None:
            own.close()
    return paths


def read_wav(path: Path) -> NDArray[np.int16]:
    """Samples of a file made here.

    Raises:
        ValueError: it is not mono, 16 bit, 16 kHz.
    """
    with wave.open(str(path), "rb") as file:
        if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, RATE):
            raise ValueError(f"{path} is not mono, 16 bit, {RATE} Hz")
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def _key(text: str, model: str) -> str:
    recipe = json.dumps([text, Path(model).name, _VOICE], sort_keys=True)
    words = "".join(c if c.isalnum() else "-" for c in text.lower())[:40].strip("-")
    return f"{words}-{hashlib.sha256(recipe.encode()).hexdigest()[:10]}"


def _write(path: Path, samples: NDArray[np.int16]) -> None:
    """Writes the whole file or none of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with wave.open(str(partial), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    partial.replace(path)
