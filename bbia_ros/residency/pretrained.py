"""Loads models in Hugging Face's folder layout with transformers, for engines in their worker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bbia_ros.residency.torch_device import first_line, import_library


class PretrainedError(ValueError):
    """A folder that holds no model of the wanted kind; the text says which and why."""


def check_folder(model: str | Path, what: str) -> Path:
    """The folder, when it looks like a model that transformers can load. Imports nothing heavy.

    Args:
        model: path of the folder.
        what: of the model, for the error message, for instance "a chat model".

    Raises:
        PretrainedError: it is missing, a file, or lacks configuration, weights or tokenizer.
    """
    folder = Path(model)
    if not folder.exists():
        raise PretrainedError(f"there is no folder {folder} to load {what} from")
    if not folder.is_dir():
        raise PretrainedError(f"{folder} is a file; {what} for transformers is a folder with config.json and weights")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PretrainedError(f"{folder} holds no config.json, so no model for transformers") from error
    except (OSError, ValueError) as error:
        raise PretrainedError(f"{folder / 'config.json'} cannot be read: {first_line(error)}") from error
    if not isinstance(config, dict) or "model_type" not in config:
        raise PretrainedError(f"{folder / 'config.json'} names no model_type")
    if not any(folder.glob("*.safetensors")):
        raise PretrainedError(f"{folder} holds no weights (*.safetensors)")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt")):
        raise PretrainedError(f"{folder} holds no tokenizer (tokenizer.json)")
    return folder


def load_pretrained(folder: Path, kind: str, dtype: Any, what: str) -> tuple[Any, Any]:
    """Loads model and tokenizer onto the CPU, from the folder alone.

    Args:
        folder: see `check_folder`.
        kind: transformers' class, for instance "AutoModelForCausalLM".
        dtype: torch dtype of the weights.
        what: of the model, for the error message.

    Raises:
        PretrainedError: damaged, of another kind, or with weights missing (transformers would invent them).
        TorchUnusable: transformers is missing or broken.
    """
    transformers = import_library("transformers")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        model, report = getattr(transformers, kind).from_pretrained(
            str(folder), dtype=dtype, local_files_only=True, output_loading_info=True, use_safetensors=True
        )
        # AutoTokenizer imports torchvision and more on its way, which a tokenizer.json does not need.
        reader = "PreTrainedTokenizerFast" if (folder / "tokenizer.json").is_file() else "AutoTokenizer"
        tokenizer = getattr(transformers, reader).from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # transformers, safetensors and tokenizers raise many types for a broken file
        raise PretrainedError(f"{folder} cannot be loaded as {what}: {first_line(error)}") from error
    for key, fault in (("missing_keys", "lacks"), ("mismatched_keys", "has in other sizes")):
        names = sorted(map(str, report.get(key) or ()))
        if names:
            raise PretrainedError(
                f"{folder} {fault} {len(names)} of the weights of {what}, {names[0]} for one: it is another kind of"
                " model, or was cut short"
            )
    return model.eval(), tokenizer
