"""Where a face looks: by its head, by its eyes, and whether it looks at the robot."""

import math

import numpy as np
import pytest

from bbia_ros.perception.blendshapes import INDEX, NAMES
from bbia_ros.perception.faces import OPENGL_TO_OPTICAL
from bbia_ros.perception.gaze import EYE_UP_RAD, EYE_YAW_RAD, eye_angles, gaze, looking_at

FACING = OPENGL_TO_OPTICAL  # face frame (x right, y up, z towards the camera) in the optical frame


def shapes(**values):
    given = [0.0] * len(NAMES)
    for name, value in values.items():
        given[INDEX[name]] = value
    return given


def test_there_are_52_names_and_each_is_once():
    assert len(NAMES) == len(set(NAMES)) == 52
    assert (NAMES[0], NAMES[44], NAMES[51]) == ("_neutral", "mouthSmileLeft", "noseSneerRight")


def test_a_face_before_the_camera_looks_along_minus_z():
    assert gaze(FACING) == pytest.approx([0.0, 0.0, -1.0])


def test_eyes_to_the_persons_left_look_to_the_image_right():
    left = shapes(eyeLookOutLeft=1.0, eyeLookInRight=1.0)
    assert eye_angles(left) == pytest.approx((EYE_YAW_RAD, 0.0))
    assert gaze(FACING, left) == pytest.approx([math.sin(EYE_YAW_RAD), 0.0, -math.cos(EYE_YAW_RAD)])


def test_eyes_up_look_up_in_the_image():
    up = shapes(eyeLookUpLeft=1.0, eyeLookUpRight=1.0)
    assert gaze(FACING, up) == pytest.approx([0.0, -math.sin(EYE_UP_RAD), -math.cos(EYE_UP_RAD)])


def test_crossed_eyes_look_straight_ahead():
    assert gaze(FACING, shapes(eyeLookInLeft=0.8, eyeLookInRight=0.8)) == pytest.approx([0.0, 0.0, -1.0])


def test_a_wrong_number_of_blendshapes_is_refused():
    with pytest.raises(ValueError, match="51 blendshapes"):
        gaze(FACING, [0.0] * 51)


@pytest.mark.parametrize(("angle", "expected"), [(0.0, True), (14.0, True), (16.0, False), (170.0, False)])
def test_looking_at_the_robot_has_a_tolerance(angle, expected):
    to_face = np.array([0.0, 0.0, 1.0])
    direction = np.array([math.sin(math.radians(angle)), 0.0, -math.cos(math.radians(angle))])
    assert looking_at(direction, to_face, math.radians(15.0)) is expected


def test_an_unknown_gaze_meets_nobody():
    assert not looking_at(np.full(3, np.nan), np.array([0.0, 0.0, 1.0]), math.pi)
