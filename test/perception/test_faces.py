"""Windows, crops, and the step from MediaPipe's pose to a metric one; the model file is checked before it is loaded."""

import math
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bbia_ros.geometry import angle_between, pose_matrix
from bbia_ros.perception.faces import BIOCULAR_M, OPENGL_TO_OPTICAL, OUTER_EYE_CORNERS, metric_pose, smallest_turn
from bbia_ros.perception.faces_mediapipe import MediaPipeFaces, crop_square, search_windows

INTRINSICS = (143.0, 143.0, 160.0, 120.0)


@given(st.integers(1, 1300), st.integers(1, 1000))
def test_windows_cover_the_whole_picture_and_stay_inside(width, height):
    windows = search_windows(width, height)
    covered = np.zeros((height, width), dtype=bool)
    for x, y, w, h in windows:
        assert x >= 0
        assert y >= 0
        assert w >= 1
        assert h >= 1
        assert x + w <= width
        assert y + h <= height
    for x, y, w, h in windows[1:] or windows:
        covered[y : y + h, x : x + w] = True
    assert covered.all()


def test_a_picture_of_the_robots_eye_is_searched_in_seven_windows():
    assert search_windows(320, 240) == [
        (0, 0, 320, 240),
        *((x, y, 160, 160) for y in (0, 80) for x in (0, 80, 160)),
    ]


def test_a_crop_at_the_border_is_filled_with_black():
    picture = np.full((100, 100, 3), 200, dtype=np.uint8)
    square, x, y = crop_square(picture, (-10.0, 80.0, 20.0, 20.0), 2.0)
    assert square.shape == (40, 40, 3)
    assert (x, y) == (-20, 70)
    assert not square[:, :20].any()
    assert (square[:30, 20:] == 200).all()
    assert not square[30:].any()


@given(*(st.floats(-1, 1) for _ in range(4)))
def test_the_smallest_turn_brings_one_direction_onto_the_other(a, b, c, d):
    first, second = np.array([a, b, 1.5]), np.array([c, d, 1.5])
    turn = smallest_turn(first, second)
    assert turn @ turn.T == pytest.approx(np.eye(3), abs=1e-9)
    assert angle_between(turn @ first, second) == pytest.approx(0.0, abs=1e-7)


def landmarks_of_eyes(first, second):
    points = np.zeros((478, 3), dtype=np.float32)
    points[OUTER_EYE_CORNERS[0]], points[OUTER_EYE_CORNERS[1]] = first, second
    return points


@pytest.mark.parametrize("turn_deg", [0.0, 30.0, -50.0])
@pytest.mark.parametrize("azimuth_deg", [0.0, 25.0, -45.0])
def test_a_face_is_as_far_as_it_is_wherever_it_stands_and_however_it_is_turned(azimuth_deg, turn_deg):
    place = 0.8 * np.array([math.sin(math.radians(azimuth_deg)), 0.0, math.cos(math.radians(azimuth_deg))])
    turn = pose_matrix(pitch=math.radians(turn_deg))  # about the vertical: y in both of MediaPipe's frames
    matrix = turn.copy()
    matrix[2, 3] = -50.0  # MediaPipe: straight before its virtual camera, so turned against the line of sight
    towards = smallest_turn(np.array([0.0, 0.0, 1.0]), place) @ OPENGL_TO_OPTICAL @ turn[:3, :3]
    eyes = [place + side * BIOCULAR_M / 2 * towards[:, 0] for side in (-1.0, 1.0)]
    pixels = [(160.0 + 143.0 * x / z, 120.0 + 143.0 * y / z, 0.0) for x, y, z in eyes]
    pose = metric_pose(matrix, landmarks_of_eyes(*pixels), INTRINSICS)
    assert pose[:3, 3] == pytest.approx(place, rel=0.01, abs=0.005)
    assert pose[:3, :3] == pytest.approx(towards, abs=0.05)


def test_a_face_that_looks_into_the_camera_does_so_from_anywhere_in_the_picture():
    matrix = np.eye(4)
    matrix[2, 3] = -50.0  # straight before the crop's virtual camera, turned to it
    for u, v in ((20, 30), (300, 200), (160, 120)):
        pose = metric_pose(matrix, landmarks_of_eyes((u - 8, v, 0), (u + 8, v, 0)), INTRINSICS)
        assert angle_between(pose[:3, 2], -pose[:3, 3]) == pytest.approx(0.0, abs=1e-6)
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0)


def test_a_matrix_that_is_no_face_is_refused():
    points = landmarks_of_eyes((150, 120, 0), (170, 120, 0))
    for matrix in (np.full((4, 4), np.nan), np.eye(4)):
        with pytest.raises(ValueError, match="facial transformation matrix"):
            metric_pose(matrix, points, INTRINSICS)


def test_a_missing_model_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"face model .*nowhere.task does not exist"):
        MediaPipeFaces(str(tmp_path / "nowhere.task"))


def test_a_truncated_model_is_one_sentence(tmp_path):
    path = tmp_path / "half.task"
    with zipfile.ZipFile(path, "w") as task:
        task.writestr("face_detector.tflite", b"x" * 5000)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"half.task is truncated or not a .task file"):
        MediaPipeFaces(str(path))


def test_another_task_file_is_one_sentence(tmp_path):
    path = tmp_path / "hands.task"
    with zipfile.ZipFile(path, "w") as task:
        task.writestr("hand_detector.tflite", b"x")
    with pytest.raises(ValueError, match=r"hands.task lacks face_detector.tflite"):
        MediaPipeFaces(str(path))


def test_a_device_that_is_not_offered_is_one_sentence():
    with pytest.raises(ValueError, match="CPU only"):
        MediaPipeFaces("any.task", device="cuda")
