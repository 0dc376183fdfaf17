"""Writes rendered scenes as a data set in ultralytics' layout: images/, labels/ and data.yaml."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tools.train_detector import CLASS_NAMES
from tools.train_detector.scene import (
    HEIGHT,
    WIDTH,
    LabelledPicture,
    TabletopRenderer,
    held_out_seed,
    training_seed,
)


def label_lines(picture: LabelledPicture) -> str:
    """The labels in YOLO's text format: class, then centre and size as shares of the picture's size."""
    lines = []
    for class_id, (x1, y1, x2, y2) in zip(picture.classes, picture.boxes, strict=True):
        centre = f"{(x1 + x2) / 2 / WIDTH:.6f} {(y1 + y2) / 2 / HEIGHT:.6f}"
        lines.append(f"{class_id} {centre} {(x2 - x1) / WIDTH:.6f} {(y2 - y1) / HEIGHT:.6f}\n")
    return "".join(lines)


def write_split(folder: Path, split: str, first: int, count: int, seed_of: Callable[[int], int]) -> None:
    """Renders `count` scenes of a split; scenes that are already there are kept."""
    images, labels = folder / "images" / split, folder / "labels" / split
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    with TabletopRenderer() as renderer:
        for index in range(first, first + count):
            name = f"{index:05d}"
            if (labels / f"{name}.txt").exists():
                continue
            picture = renderer.render(seed_of(index))
            Image.fromarray(picture.image).save(images / f"{name}.png")
            (labels / f"{name}.txt").write_text(label_lines(picture))
            if (index + 1) % 100 == 0:
                print(f"{split}: {index + 1 - first} of {count}", flush=True)


def write_dataset(folder: Path, training: int, validation: int, first: int = 0) -> Path:
    """Writes both splits and `data.yaml`; returns the path of the latter."""
    write_split(folder, "train", first, training, training_seed)
    write_split(folder, "val", 0, validation, held_out_seed)
    names = "".join(f"  {index}: {name}\n" for index, name in enumerate(CLASS_NAMES))
    description = folder / "data.yaml"
    description.write_text(f"path: {folder.resolve()}\ntrain: images/train\nval: images/val\nnames:\n{names}")
    return description
