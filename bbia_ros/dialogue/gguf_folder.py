"""Turns a GGUF model into the folder that transformers loads, once: dequantised to bfloat16, kept in the user's cache.

transformers reads GGUF by itself, in 20 s and 1.3 GB at each load for a model of 135 million parameters; the folder
loads in a second or two. It is built in a process of its own, so that nothing of that stays in the worker.
"""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import signal
import sys
from pathlib import Path

from bbia_ros.conversion import ConversionFailed, ConversionTooSlow, locked, run_apart
from bbia_ros.dialogue.chat_llama import ModelFileError
from bbia_ros.resources import cache_folder

_PR_SET_PDEATHSIG = 1
FORMAT = "1"
BUILD_TIMEOUT_S = 300.0
DONE = "converted"
"""File that is written last: a folder without it is not whole."""


def cached_folder(gguf: Path, cache: Path | None = None) -> Path:
    """Where the folder of this file belongs; its name changes with the file."""
    status = gguf.resolve().stat()
    key = f"{gguf.resolve()}|{status.st_size}|{status.st_mtime_ns}|{FORMAT}"
    return (cache or cache_folder("chat")) / f"{gguf.stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def ensure_folder(gguf: Path, cache: Path | None = None) -> Path:
    """The folder of a GGUF model, built when it is missing. Takes half a minute then, for 135 million parameters.

    Raises:
        ModelFileError: transformers cannot read the file, or a library for it is missing.
    """
    folder = cached_folder(gguf, cache)
    if (folder / DONE).is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock")):
        if not (folder / DONE).is_file():  # another process may have built it meanwhile
            _build_apart(gguf, folder)
    return folder


def build(gguf: Path, target: Path) -> None:
    """Writes configuration, weights in bfloat16, tokenizer and chat template of a GGUF model into a folder."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name, local_files_only=True)
    tokenizer.save_pretrained(str(target))
    model = AutoModelForCausalLM.from_pretrained(
        str(gguf.parent), gguf_file=gguf.name, dtype=torch.bfloat16, local_files_only=True,
        quantization_config=GgufConfig(dequantize=True),
    )  # fmt: skip
    model.save_pretrained(str(target))


def _build_apart(gguf: Path, folder: Path) -> None:
    target = folder.with_suffix(".partial")
    shutil.rmtree(target, ignore_errors=True)  # of one that was killed
    try:
        run_apart("bbia_ros.dialogue.gguf_folder", gguf, target, timeout_s=BUILD_TIMEOUT_S)
        (target / DONE).write_text(f"{gguf}\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        target.rename(folder)
    except ConversionTooSlow as error:
        raise ModelFileError(f"{gguf} could not be converted in {BUILD_TIMEOUT_S:.0f} s.") from error
    except ConversionFailed as error:
        raise ModelFileError(f"{gguf} cannot be converted for transformers: {error}") from error
    finally:
        shutil.rmtree(target, ignore_errors=True)


if __name__ == "__main__":
    from bbia_ros.residency.torch_device import keep_quiet

    # The worker that asked may be ended meanwhile; the kernel then ends us too.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    keep_quiet()
    build(Path(sys.argv[1]), Path(sys.argv[2]))
