"""Exports a trained run to what ships: the ONNX file, the weights for torch, and model.json."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from tools.train_detector import CLASS_NAMES

NAME = "bbia-tabletop-yolo26n"
INPUT_SIZE = 320
OPSET = 17
MAX_TOTAL_BYTES = 16_000_000


def export(run: Path, output: Path, end_to_end: bool = True) -> None:
    """Exports the run's last checkpoint (the moving average of its weights).

    Args:
        run: the training's folder.
        output: folder for `bbia-tabletop-yolo26n.onnx`, `.pt` and `model.json`.
        end_to_end: export the one-to-one head, as YOLO26 is meant to be used; else the one-to-many head.
    """
    checkpoint = run / "weights" / "last.pt"
    if not checkpoint.is_file():
        raise FileNotFoundError(f"{checkpoint} does not exist: run the train step first")
    os.environ["YOLO_OFFLINE"] = "true"
    os.environ.setdefault("YOLO_CONFIG_DIR", str(run.resolve()))
    from ultralytics import YOLO

    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        weights = Path(scratch) / f"{NAME}.pt"
        _strip(checkpoint, weights)
        exported = YOLO(str(weights)).export(
            format="onnx",
            imgsz=INPUT_SIZE,
            opset=OPSET,
            dynamic=False,
            simplify=True,
            batch=1,
            device="cpu",
            nms=False if end_to_end else None,
        )
        shutil.copyfile(exported, output / f"{NAME}.onnx")
        shutil.copyfile(weights, output / f"{NAME}.pt")
    files = [output / f"{NAME}.onnx", output / f"{NAME}.pt"]
    total = sum(file.stat().st_size for file in files)
    if total > MAX_TOTAL_BYTES:
        raise RuntimeError(f"the exported files have {total} bytes, more than the {MAX_TOTAL_BYTES} that may ship")
    description = {
        "name": NAME,
        "task": "objects",
        "architecture": "YOLO26n",
        "input_size": INPUT_SIZE,
        "classes": list(CLASS_NAMES),
        "licence": "AGPL-3.0-only",
        "sha256": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files},
    }
    (output / "model.json").write_text(json.dumps(description, indent=2) + "\n")
    for file in files:
        print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


def _strip(checkpoint: Path, weights: Path) -> None:
    """Keeps the averaged weights as float16 and what ultralytics needs to load them: no optimiser, paths or logs."""
    import torch
    from ultralytics.utils.torch_utils import strip_optimizer

    strip_optimizer(str(checkpoint), str(weights))
    content = torch.load(weights, map_location="cpu", weights_only=False)
    arguments = {"task": "detect", "imgsz": INPUT_SIZE, "single_cls": False, "model": "yolo26n.yaml", "data": NAME}
    content["model"].args = dict(arguments)
    content["model"].pt_path = weights.name
    kept = {key: content[key] for key in ("date", "version", "license", "docs", "epoch", "model")}
    torch.save({**kept, "train_args": arguments, "ema": None, "optimizer": None}, weights)
