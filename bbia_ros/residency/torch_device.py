"""Opens torch for engines, in their worker: the device, the threads, and what libraries above torch must not do.

Importing torch costs 200 MB (CPU build) to 500 MB (build with CUDA libraries) and one to several seconds: engines that
use it are meant to share a worker (`ModelSpec.worker`).
"""

from __future__ import annotations

import gc
import importlib
import os
from typing import Any

from bbia_ros.resources import cache_folder

INSTALL = "make torch"
"""The command that brings torch, torchvision, ultralytics and transformers in versions that fit together."""
DEVICES = ("cpu", "cuda", "auto")

_threads = 0  # of this process: engines that share a worker get the largest number that one of them asked for


class TorchUnusable(RuntimeError):
    """torch or a library on top of it cannot be used here; the text says why and what to type."""


def open_torch(device: str, threads: int) -> tuple[Any, Any]:
    """Imports torch and chooses the device.

    Args:
        device: cpu, cuda, or auto (cuda where torch sees a GPU).
        threads: for the CPU, at least 1. In a worker that engines share the largest number counts.

    Returns:
        the module torch, and a `torch.device`.

    Raises:
        TorchUnusable: torch is missing or broken, or there is no such device.
    """
    global _threads
    if device not in DEVICES:
        raise TorchUnusable(f"device must be cpu, cuda or auto, not '{device}'")
    keep_quiet()
    torch = import_library("torch")
    cuda = device != "cpu" and bool(torch.cuda.is_available())
    if device == "cuda" and not cuda:
        reason = "this torch was built without CUDA" if torch.version.cuda is None else "torch sees no NVIDIA GPU"
        raise TorchUnusable(f"device is 'cuda', but {reason}: use cpu or auto")
    if threads > _threads:
        _threads = threads
        torch.set_num_threads(threads)
    return torch, torch.device("cuda" if cuda else "cpu")


def import_library(name: str) -> Any:
    """Imports torch or a library on top of it.

    Raises:
        TorchUnusable: it is not installed, or its import fails.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            raise TorchUnusable(f"{name} is not installed: {INSTALL}") from error
        raise TorchUnusable(f"{name} needs {error.name}, which is not installed: {INSTALL}") from error
    except Exception as error:  # a mismatch of torch and torchvision shows as RuntimeError, a broken library as OSError
        raise TorchUnusable(
            f"{name} is installed but cannot be imported ({first_line(error)}); torch and torchvision must be of one"
            f" build: {INSTALL}"
        ) from error


def keep_quiet() -> None:
    """Keeps the libraries from downloading, installing, reporting home and printing. What the user has set stays."""
    for name, value in (
        ("HF_HUB_OFFLINE", "1"),
        ("HF_HUB_DISABLE_TELEMETRY", "1"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("TRANSFORMERS_VERBOSITY", "error"),
        ("YOLO_AUTOINSTALL", "false"),
        ("YOLO_CONFIG_DIR", str(cache_folder("ultralytics"))),
        ("YOLO_OFFLINE", "true"),
        ("YOLO_VERBOSE", "false"),
    ):
        os.environ.setdefault(name, value)


def give_back(device: Any) -> None:
    """Returns what a dropped model held to the system or to the GPU's driver, in a worker that lives on."""
    gc.collect()
    if device.type == "cuda":
        import torch

        torch.cuda.empty_cache()


def first_line(error: BaseException) -> str:
    """An exception's first line in plain characters, or the name of its class."""
    lines = str(error).encode("ascii", "ignore").decode().strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
