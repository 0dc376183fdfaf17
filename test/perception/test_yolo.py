from __future__ import annotations

import numpy as np
import pytest

from bbia_ros.perception.letterbox import Fit
from bbia_ros.perception.yolo import (
    MAX_DETECTIONS,
    intersection_over_union,
    is_end_to_end,
    read_classic,
    read_end_to_end,
    suppress,
    to_image,
)

NAMES = {0: "apple", 1: "croissant", 2: "duck"}


@pytest.mark.parametrize(
    ("shape", "classes", "form"),
    [
        ((1, 300, 6), 3, True),
        ((1, 7, 2100), 3, False),
        ((1, 6, 2100), 2, False),
        ((1, 300, 6), 2, True),
        ((1, 84, 8400), 80, False),
        ((1, 1000), 3, None),
        ((1, 9, 2100), 3, None),
        ((2, 300, 6), 3, None),
    ],
)
def test_the_form_is_known_by_the_shape(shape: tuple[int, ...], classes: int, form: bool | None) -> None:
    assert is_end_to_end(shape, classes) is form


def test_end_to_end_rows_below_the_threshold_are_dropped() -> None:
    output = np.array([[10, 20, 30, 60, 0.9, 2], [1, 1, 5, 5, 0.2, 0]], np.float32)
    boxes, scores, classes = read_end_to_end(output, 0.35)
    np.testing.assert_array_equal(boxes, [[10, 20, 30, 60]])
    assert (scores.tolist(), classes.tolist()) == ([pytest.approx(0.9)], [2])


def test_an_object_that_an_end_to_end_head_names_twice_is_one() -> None:
    rows = [[0, 0, 20, 20, 0.6, 1], [1, 0, 21, 20, 0.8, 1], [0, 0, 20, 20, 0.5, 2], [10, 0, 30, 20, 0.4, 1]]
    boxes, scores, classes = read_end_to_end(np.array(rows, np.float32), 0.35)
    np.testing.assert_allclose(scores, [0.8, 0.5, 0.4])
    assert (boxes[:, 0].tolist(), classes.tolist()) == ([1, 0, 10], [1, 2, 1])


def test_classic_columns_become_corner_boxes_without_their_doubles() -> None:
    output = np.zeros((7, 5), np.float32)
    output[:, 0] = [50, 50, 20, 40, 0.1, 0.8, 0.0]
    output[:, 1] = [52, 50, 20, 40, 0.0, 0.9, 0.0]  # the same croissant, better
    output[:, 2] = [51, 50, 20, 40, 0.7, 0.0, 0.0]  # an apple in the same place stays
    output[:, 3] = [200, 90, 10, 10, 0.0, 0.0, 0.6]
    output[:, 4] = [10, 10, 10, 10, 0.3, 0.0, 0.0]
    boxes, scores, classes = read_classic(output, 0.35)
    assert classes.tolist() == [1, 0, 2]
    np.testing.assert_allclose(scores, [0.9, 0.7, 0.6])
    np.testing.assert_allclose(boxes[0], [42, 30, 62, 70])


def test_nothing_above_the_threshold_is_no_detection() -> None:
    boxes, scores, classes = read_classic(np.zeros((7, 2100), np.float32), 0.35)
    assert boxes.shape == (0, 4)
    assert not len(scores)
    assert not len(classes)


def test_suppression_keeps_the_better_box_of_a_class_and_all_other_classes() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [30, 30, 40, 40]], np.float32)
    assert suppress(boxes, np.array([0, 0, 1, 0])).tolist() == [0, 2, 3]


def test_overlap_of_boxes() -> None:
    one = np.array([[0, 0, 10, 10]], np.float32)
    others = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [0, 0, 0, 0]], np.float32)
    np.testing.assert_allclose(intersection_over_union(one, others), [[1.0, 1 / 3, 0.0, 0.0]], atol=1e-6)


def test_boxes_go_back_to_the_image_clipped_best_first_and_bounded() -> None:
    placed = Fit(scale=0.5, left=0, top=40, width=320, height=240)
    boxes = np.array([[10, 50, 30, 70], [300, 200, 340, 300], [0, 0, 320, 39]], np.float32)
    found = to_image(boxes, np.array([0.5, 0.9, 0.8], np.float32), np.array([0, 2, 1]), placed, (480, 640), NAMES)
    assert [d.label for d in found] == ["duck", "apple"]  # the third box lies in the padding
    assert (found[1].x, found[1].y, found[1].width, found[1].height) == (20, 20, 40, 40)
    assert (found[0].x + found[0].width, found[0].y + found[0].height) == (640, 480)
    many = np.tile(np.array([[10, 50, 30, 70]], np.float32), (300, 1))
    scores = np.linspace(0, 1, 300, dtype=np.float32)
    bounded = to_image(many, scores, np.zeros(300, np.int64), placed, (480, 640), NAMES)
    assert len(bounded) == MAX_DETECTIONS
    assert bounded[0].score == 1.0
