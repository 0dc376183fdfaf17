"""Reads a YOLO network's output, end-to-end or classic, and removes the doubles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bbia_ros.perception.detections import Detection
from bbia_ros.perception.letterbox import Fit

MAX_DETECTIONS = 100
MAX_CANDIDATES = 1000
OVERLAP_LIMIT = 0.6
"""Boxes of one class that overlap more than this (intersection over union) are one object."""

Boxes = NDArray[np.float32]


def is_end_to_end(shape: tuple[int, ...], classes: int) -> bool | None:
    """Which form an output has: (1, N, 6) end-to-end, (1, 4 + classes, N) classic, else None."""
    if len(shape) != 3 or shape[0] != 1:
        return None
    if shape[1] == 4 + classes and shape[2] != 6:
        return False
    if shape[2] == 6:
        return True
    return None


def read_end_to_end(output: NDArray[np.float32], threshold: float) -> tuple[Boxes, Boxes, NDArray[np.int64]]:
    """Boxes (N x 4: x1, y1, x2, y2), scores and classes of an N x 6 output, above the threshold, doubles removed.

    An end-to-end head should name an object once; one that was trained for an hour still names some twice.
    """
    rows = output[output[:, 4] >= threshold]
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    classes = rows[:, 5].astype(np.int64)
    kept = suppress(rows[:, :4], classes)
    return rows[kept, :4], rows[kept, 4], classes[kept]


def read_classic(output: NDArray[np.float32], threshold: float) -> tuple[Boxes, Boxes, NDArray[np.int64]]:
    """Boxes (x1, y1, x2, y2), scores and classes of a (4 + classes) x N output, doubles removed."""
    scores = output[4:].max(axis=0)
    candidates = np.flatnonzero(scores >= threshold)
    candidates = candidates[np.argsort(-scores[candidates], kind="stable")][:MAX_CANDIDATES]
    centre, size = output[0:2, candidates].T, output[2:4, candidates].T
    boxes = np.concatenate([centre - 0.5 * size, centre + 0.5 * size], axis=1)
    classes = output[4:, candidates].argmax(axis=0).astype(np.int64)
    kept = suppress(boxes, classes)
    return boxes[kept], scores[candidates][kept], classes[kept]


def suppress(boxes: Boxes, classes: NDArray[np.int64], limit: float = OVERLAP_LIMIT) -> NDArray[np.intp]:
    """Greedy non-maximum suppression within each class.

    Args:
        boxes: N x 4 (x1, y1, x2, y2), best first.
        classes: N class indices.
        limit: largest intersection over union with a better box of the same class.

    Returns:
        indices of the boxes to keep, best first.
    """
    kept: list[int] = []
    open_boxes = np.arange(len(boxes))
    while len(open_boxes):
        best, open_boxes = int(open_boxes[0]), open_boxes[1:]
        kept.append(best)
        overlap = intersection_over_union(boxes[best : best + 1], boxes[open_boxes])[0]
        open_boxes = open_boxes[(overlap <= limit) | (classes[open_boxes] != classes[best])]
    return np.array(kept, dtype=np.intp)


def intersection_over_union(first: Boxes, second: Boxes) -> NDArray[np.float32]:
    """Overlap of each box of `first` (N x 4) with each of `second` (M x 4), N x M in [0, 1]."""
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    opposite = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.prod(np.clip(opposite - corner, 0.0, None), axis=2)
    areas = np.prod(first[:, 2:] - first[:, :2], axis=1)[:, None] + np.prod(second[:, 2:] - second[:, :2], axis=1)
    return np.asarray(common / np.maximum(areas - common, 1e-9), dtype=np.float32)


def to_image(
    boxes: Boxes,
    scores: Boxes,
    classes: NDArray[np.int64],
    placed: Fit,
    image_size: tuple[int, int],
    names: dict[int, str],
) -> list[Detection]:
    """Detections in the image's own pixels, clipped to it, by falling score, at most `MAX_DETECTIONS`.

    Args:
        boxes: N x 4 (x1, y1, x2, y2) in the network's input.
        scores: N in [0, 1].
        classes: N class indices.
        placed: where the image lies in the input.
        image_size: (height, width) of the image.
        names: class names by index.
    """
    height, width = image_size
    offset = np.array([placed.left, placed.top, placed.left, placed.top], np.float32)
    corners = np.clip((boxes - offset) / placed.scale, 0.0, np.array([width, height, width, height], np.float32))
    found = []
    for index in np.argsort(-scores, kind="stable"):
        x1, y1, x2, y2 = (float(value) for value in corners[index])
        class_id = int(classes[index])
        if x2 <= x1 or y2 <= y1:
            continue  # lay wholly in the padding
        label = names.get(class_id, f"class_{class_id}")
        found.append(Detection(label, class_id, float(scores[index]), x1, y1, x2 - x1, y2 - y1))
        if len(found) == MAX_DETECTIONS:
            break
    return found
