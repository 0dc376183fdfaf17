"""Measures an ONNX detector on held-out scenes, through the engine that the robot uses."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bbia_ros.perception.detect_onnx import OnnxDetector
from bbia_ros.perception.detections import Detection
from bbia_ros.perception.yolo import intersection_over_union
from tools.train_detector import CLASS_NAMES
from tools.train_detector.metrics import ClassScore, PictureResult, match, mean_scores, score_classes
from tools.train_detector.scene import LabelledPicture, TabletopRenderer, held_out_seed

EVALUATION_THRESHOLD = 0.001
"""Average precision wants the whole ranking; the grid shows what passes the engine's own threshold."""

SHOWN_THRESHOLD = 0.35
GRID = (4, 5)
COLOURS = ("#ff3030", "#30e0ff", "#40ff40")


@dataclass(frozen=True)
class Evaluation:
    """Figures of one detector on held-out scenes."""

    scenes: int
    labels: int
    map50: float
    map50_95: float
    precision: float
    recall: float
    classes: dict[str, ClassScore]


def measure(
    model: Path, scenes: int, first: int = 0
) -> tuple[Evaluation, list[tuple[LabelledPicture, list[Detection]]]]:
    """Renders held-out scenes and scores the detector on them.

    Args:
        model: path of the ONNX file.
        scenes: number of scenes.
        first: index of the first held-out scene.

    Returns:
        the figures, and each picture with its detections.
    """
    detector = OnnxDetector(str(model), score_threshold=EVALUATION_THRESHOLD)
    seen = []
    try:
        if tuple(detector.names[index] for index in sorted(detector.names)) != CLASS_NAMES:
            raise ValueError(f"{model} knows other classes than {', '.join(CLASS_NAMES)}: {detector.names}")
        with TabletopRenderer() as renderer:
            for index in range(first, first + scenes):
                picture = renderer.render(held_out_seed(index))
                seen.append((picture, detector.detect(picture.image)))
    finally:
        detector.close()
    results = [_result(picture, found) for picture, found in seen]
    classes = score_classes(results, len(CLASS_NAMES))
    map50, map50_95 = mean_scores(classes)
    precision, recall = _working_point([_result(p, [d for d in f if d.score >= SHOWN_THRESHOLD]) for p, f in seen])
    labels = sum(score.labels for score in classes)
    named = dict(zip(CLASS_NAMES, classes, strict=True))
    return Evaluation(scenes, labels, map50, map50_95, precision, recall, named), seen


def evaluate(model: Path, scenes: int, output: Path) -> Evaluation:
    """Writes `evaluation.json` and `grid.jpg` to `output` and prints the figures."""
    figures, seen = measure(model, scenes)
    output.mkdir(parents=True, exist_ok=True)
    (output / "evaluation.json").write_text(json.dumps(asdict(figures), indent=2) + "\n")
    draw_grid(seen).save(output / "grid.jpg", quality=82)
    print(f"{scenes} held-out scenes, {figures.labels} labels")
    print(f"mAP50 {figures.map50:.3f}, mAP50-95 {figures.map50_95:.3f}")
    print(f"at a score of {SHOWN_THRESHOLD}: precision {figures.precision:.3f}, recall {figures.recall:.3f}")
    for name, score in figures.classes.items():
        print(f"  {name:10s} AP50 {score.ap50:.3f}  AP50-95 {score.ap50_95:.3f}  labels {score.labels}")
    return figures


def draw_grid(seen: list[tuple[LabelledPicture, list[Detection]]]) -> Image.Image:
    """The first pictures with labels (thin, white) and detections (coloured, with their scores)."""
    rows, columns = GRID
    height, width = seen[0][0].image.shape[:2]
    sheet = Image.new("RGB", (columns * width, rows * height))
    for place, (picture, found) in enumerate(seen[: rows * columns]):
        tile = Image.fromarray(picture.image)
        draw = ImageDraw.Draw(tile)
        for x1, y1, x2, y2 in picture.boxes.tolist():
            draw.rectangle((x1 - 2, y1 - 2, x2 + 1, y2 + 1), outline="white")
        for detection in (d for d in found if d.score >= SHOWN_THRESHOLD):
            colour = COLOURS[detection.class_id]
            x, y = detection.x, detection.y
            draw.rectangle((x, y, x + detection.width - 1, y + detection.height - 1), outline=colour)
            draw.text((x, max(0.0, y - 12)), f"{detection.label} {detection.score:.2f}", fill=colour)
        sheet.paste(tile, (place % columns * width, place // columns * height))
    return sheet


def _result(picture: LabelledPicture, found: list[Detection]) -> PictureResult:
    corners = [(d.x, d.y, d.x + d.width, d.y + d.height) for d in found]
    return PictureResult(
        picture.boxes,
        picture.classes,
        np.array(corners, np.float32).reshape(-1, 4),
        np.array([d.score for d in found], np.float32),
        np.array([d.class_id for d in found], np.int64),
    )


def _working_point(results: list[PictureResult]) -> tuple[float, float]:
    """Precision and recall over all classes at an overlap of 0.5, for detections that passed the threshold."""
    hits = claims = labels = 0
    for result in results:
        for index in range(len(CLASS_NAMES)):
            mine: NDArray[np.bool_] = result.classes == index
            truth = result.label_boxes[result.label_classes == index]
            hits += int(match(intersection_over_union(result.boxes[mine], truth), 0.5).sum())
            claims += int(mine.sum())
            labels += len(truth)
    return hits / max(claims, 1), hits / max(labels, 1)
