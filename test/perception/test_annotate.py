"""The annotated picture shows boxes, names and landmarks, and leaves the original alone."""

import numpy as np
import pytest

from bbia_ros.perception.annotate import LANDMARK, PALETTE, annotate
from bbia_ros.perception.detections import Detection
from bbia_ros.perception.faces import FaceReading
from bbia_ros.perception.scene import UNKNOWN, SeenFace, SeenObject


def seen_object(x, y, width, height, track=1):
    return SeenObject(Detection("apple", 0, 0.9, x, y, width, height), track, UNKNOWN, 0.5, 0.05)


def test_a_box_is_drawn_on_its_outline_and_the_original_is_left_alone():
    image = np.zeros((240, 320, 3), dtype=np.uint8)
    drawn = annotate(image, [seen_object(100, 80, 50, 40)])
    assert not image.any()
    colour = PALETTE[1]
    assert tuple(drawn[119, 120]) == colour
    assert tuple(drawn[100, 100]) == colour
    assert tuple(drawn[100, 149]) == colour
    assert not drawn[85:118, 102:148].any()
    assert drawn[60:80, 100:150].any()  # the caption


@pytest.mark.parametrize("box", [(-30, -30, 60, 60), (300, 220, 60, 60), (-10, -10, 400, 300), (500, 500, 20, 20)])
def test_boxes_beyond_the_border_are_clipped(box):
    assert annotate(np.zeros((240, 320, 3), dtype=np.uint8), [seen_object(*box)]).shape == (240, 320, 3)


def test_landmarks_are_dots_and_those_outside_are_left_out():
    points = np.full((478, 3), np.nan, dtype=np.float32)
    points[0] = (150.5, 120.2, 0)
    points[4] = (-5, 10, 0)
    reading = FaceReading(0.9, (140, 110, 20, 20), points, np.zeros(52, dtype=np.float32), None)
    drawn = annotate(
        np.zeros((240, 320, 3), dtype=np.uint8), faces=[SeenFace(reading, 2, UNKNOWN, np.nan, UNKNOWN, True)]
    )
    assert tuple(drawn[120, 150]) == LANDMARK
    assert tuple(drawn[129, 150]) == PALETTE[2]


def test_a_read_only_picture_from_a_message_can_be_annotated():
    image = np.frombuffer(bytes(240 * 320 * 3), dtype=np.uint8).reshape(240, 320, 3)
    assert np.array_equal(annotate(image), image)
