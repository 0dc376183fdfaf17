from __future__ import annotations

import math

import numpy as np
import pytest

from tools.train_detector.metrics import (
    IOU_LEVELS,
    PictureResult,
    average_precision,
    match,
    mean_scores,
    score_classes,
)


def picture(labels: list[tuple[int, list[float]]], found: list[tuple[int, float, list[float]]]) -> PictureResult:
    return PictureResult(
        np.array([box for _, box in labels], np.float32).reshape(-1, 4),
        np.array([index for index, _ in labels], np.int64),
        np.array([box for _, _, box in found], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in found], np.float32),
        np.array([index for index, _, _ in found], np.int64),
    )


BOX = [0.0, 0.0, 100.0, 100.0]
FAR = [500.0, 500.0, 600.0, 600.0]


def test_perfect_detections_score_one() -> None:
    scores = score_classes([picture([(0, BOX), (1, FAR)], [(0, 0.9, BOX), (1, 0.4, FAR)])], 2)
    assert mean_scores(scores) == pytest.approx((1.0, 1.0))


def test_half_the_labels_found_is_half_the_curve() -> None:
    scores = score_classes([picture([(0, BOX), (0, FAR)], [(0, 0.9, BOX)])], 1)
    assert scores[0].ap50 == pytest.approx(51 / 101)  # recall levels 0.00 to 0.50


def test_a_false_claim_before_the_hit_halves_precision_and_one_after_it_costs_nothing() -> None:
    before = score_classes([picture([(0, BOX)], [(0, 0.9, FAR), (0, 0.8, BOX)])], 1)
    after = score_classes([picture([(0, BOX)], [(0, 0.7, FAR), (0, 0.8, BOX)])], 1)
    assert before[0].ap50 == pytest.approx(0.5)
    assert after[0].ap50 == pytest.approx(1.0)


def test_a_second_claim_on_the_same_label_is_false() -> None:
    assert match(np.array([[0.9], [0.95]], np.float32), 0.5).tolist() == [True, False]


def test_a_box_of_overlap_072_counts_at_the_five_lower_levels_only() -> None:
    scores = score_classes([picture([(0, BOX)], [(0, 0.9, [0.0, 0.0, 100.0, 72.0])])], 1)
    assert scores[0].ap50 == pytest.approx(1.0)
    assert scores[0].ap50_95 == pytest.approx(5 / len(IOU_LEVELS))


def test_the_wrong_class_or_the_wrong_picture_is_no_hit() -> None:
    results = [picture([(0, BOX)], [(1, 0.9, BOX)]), picture([(1, FAR)], [(0, 0.9, BOX)])]
    assert [score.ap50 for score in score_classes(results, 2)] == [0.0, 0.0]


def test_precision_is_read_from_the_monotonic_envelope() -> None:
    correct = np.array([True, False, True, True])
    scores = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    # precision 1, 1/2, 2/3, 3/4 at recall 1/3, 1/3, 2/3, 1: the envelope is 1 up to 1/3, then 3/4.
    assert average_precision(scores, correct, 3) == pytest.approx((34 * 1.0 + 67 * 0.75) / 101)


def test_a_class_without_labels_does_not_count_and_no_labels_at_all_is_an_error() -> None:
    scores = score_classes([picture([(0, BOX)], [(0, 0.9, BOX)])], 2)
    assert math.isnan(scores[1].ap50)
    assert mean_scores(scores) == pytest.approx((1.0, 1.0))
    with pytest.raises(ValueError, match="no picture has a label"):
        mean_scores(score_classes([picture([], [])], 2))
