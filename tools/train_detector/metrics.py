"""Mean average precision as COCO defines it, in plain numpy.

Lin et al., "Microsoft COCO: Common Objects in Context" (2014): detections are matched greedily by falling score to the
free label of their class with the largest overlap; precision is made monotonic and read at 101 recall levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bbia_ros.perception.yolo import intersection_over_union

IOU_LEVELS = np.round(np.arange(0.5, 1.0, 0.05), 2)
RECALL_LEVELS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class PictureResult:
    """Labels and detections of one picture; boxes are N x 4 (x1, y1, x2, y2) in pixels."""

    label_boxes: NDArray[np.float32]
    label_classes: NDArray[np.int64]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]


@dataclass(frozen=True)
class ClassScore:
    """Average precision of one class, and how many labels it had."""

    ap50: float
    ap50_95: float
    labels: int


def score_classes(results: list[PictureResult], class_count: int) -> list[ClassScore]:
    """Average precision of each class over all pictures; NaN for a class without labels."""
    return [_score_class(results, index) for index in range(class_count)]


def mean_scores(scores: list[ClassScore]) -> tuple[float, float]:
    """mAP50 and mAP50-95 over the classes that have labels."""
    labelled = [score for score in scores if score.labels]
    if not labelled:
        raise ValueError("no picture has a label: nothing to measure")
    return float(np.mean([s.ap50 for s in labelled])), float(np.mean([s.ap50_95 for s in labelled]))


def average_precision(scores: NDArray[np.float32], correct: NDArray[np.bool_], labels: int) -> float:
    """Area under the precision-recall curve at 101 recall levels.

    Args:
        scores: N scores of the detections of all pictures.
        correct: N, whether each was matched to a label.
        labels: number of labels in all pictures, at least 1.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(correct[order])
    if not len(hits):
        return 0.0
    recall = hits / labels
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, RECALL_LEVELS, side="left")
    return float(np.mean(np.where(places < len(envelope), envelope[np.minimum(places, len(envelope) - 1)], 0.0)))


def match(overlap: NDArray[np.float32], level: float) -> NDArray[np.bool_]:
    """Which detections (rows, best first) get a label (columns) of their own at an overlap of at least `level`."""
    correct = np.zeros(overlap.shape[0], bool)
    free = np.ones(overlap.shape[1], bool)
    for row, values in enumerate(overlap):
        candidates = np.where(free, values, -1.0)
        if len(candidates) and candidates.max() >= level:
            correct[row] = True
            free[int(candidates.argmax())] = False
    return correct


def _score_class(results: list[PictureResult], index: int) -> ClassScore:
    labels = sum(int((result.label_classes == index).sum()) for result in results)
    if not labels:
        return ClassScore(float("nan"), float("nan"), 0)
    scores: list[NDArray[np.float32]] = []
    correct: list[list[NDArray[np.bool_]]] = [[] for _ in IOU_LEVELS]
    for result in results:
        mine = np.flatnonzero(result.classes == index)
        mine = mine[np.argsort(-result.scores[mine], kind="stable")]
        scores.append(result.scores[mine])
        overlap = intersection_over_union(result.boxes[mine], result.label_boxes[result.label_classes == index])
        for level, found in zip(IOU_LEVELS, correct, strict=True):
            found.append(match(overlap, float(level)))
    all_scores = np.concatenate(scores)
    precisions = [average_precision(all_scores, np.concatenate(found), labels) for found in correct]
    return ClassScore(precisions[0], float(np.mean(precisions)), labels)
