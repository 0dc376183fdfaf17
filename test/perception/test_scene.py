"""What an engine found becomes things with identity, direction and distance; nothing is made up."""

import math

import numpy as np
import pytest

from bbia_ros.geometry import pose_matrix
from bbia_ros.perception.bearing import KNOWN_SIZES, Intrinsics
from bbia_ros.perception.detections import Detection
from bbia_ros.perception.faces import OPENGL_TO_OPTICAL, FaceReading
from bbia_ros.perception.scene import FaceScene, ObjectScene

EYE = Intrinsics(143.0, 143.0, 160.0, 120.0, 320, 240)


def thing(label, x, y, width=40.0, height=40.0, score=0.9):
    return Detection(label, 0, score, x, y, width, height)


def face(u, v, size=40.0, distance=None, score=0.9, rotation=OPENGL_TO_OPTICAL):
    pose = None
    if distance is not None:
        pose = np.eye(4)
        pose[:3, :3] = rotation
        pose[:3, 3] = EYE.ray(u, v) * distance
    return FaceReading(
        score,
        (u - size / 2, v - size / 2, size, size),
        np.zeros((478, 3), dtype=np.float32),
        np.zeros(52, dtype=np.float32),
        pose,
    )


def test_nothing_found_is_nothing_seen():
    assert ObjectScene(10, 1.0).update([], 0.0, EYE) == []
    assert FaceScene(3, 1.0, 0.2).update([], 0.0, EYE) == []


def test_objects_come_by_falling_score_and_keep_their_identity():
    scene = ObjectScene(10, 1.0)
    first = scene.update([thing("apple", 50, 50, score=0.5), thing("duck", 200, 50, score=0.8)], 0.0, EYE)
    again = scene.update([thing("duck", 202, 50, score=0.4), thing("apple", 52, 50, score=0.6)], 0.2, EYE)
    assert [(seen.detection.label, seen.track_id) for seen in first] == [("duck", 1), ("apple", 2)]
    assert [(seen.detection.label, seen.track_id) for seen in again] == [("apple", 2), ("duck", 1)]


def test_only_known_things_have_a_distance_and_it_is_not_the_same_for_all():
    scene = ObjectScene(10, 1.0)
    seen = scene.update(
        [thing("apple", 140, 100, 40, 40), thing("apple", 165, 110, 20, 20), thing("cup", 200, 50)], 0, EYE
    )
    apples = [item.distance for item in seen if item.detection.label == "apple"]
    assert apples[1] > 1.8 * apples[0]
    assert apples[0] == pytest.approx(143.0 * KNOWN_SIZES["apple"].mean / 40.0, rel=0.15)
    assert [math.isnan(item.distance) for item in seen] == [False, False, True]


def test_without_a_camera_info_directions_and_distances_are_unknown():
    (seen,) = ObjectScene(10, 1.0).update([thing("apple", 50, 50)], 0.0)
    assert np.isnan(seen.bearing).all()
    assert math.isnan(seen.distance)
    assert math.isnan(seen.distance_std)
    (someone,) = FaceScene(3, 1.0, 0.2).update([face(100, 100, distance=0.8)], 0.0)
    assert np.isnan(someone.bearing).all()
    assert np.isnan(someone.gaze).all()
    assert not someone.looking_at_robot


def test_no_more_than_the_limit_the_best_first():
    scene = ObjectScene(2, 1.0)
    seen = scene.update([thing("apple", 60 * i, 50, score=0.1 * i) for i in range(1, 5)], 0.0, EYE)
    assert [round(item.detection.score, 1) for item in seen] == [0.4, 0.3]


def test_the_head_turns_and_everybody_stays_who_they_are():
    scene = FaceScene(3, 1.0, 0.2)
    optical = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], dtype=float)
    turned = pose_matrix(yaw=math.radians(30.0))[:3, :3] @ optical
    first = scene.update([face(100, 120), face(180, 120)], 0.0, EYE, optical)
    moved = [EYE.pixel(turned.T @ optical @ EYE.ray(u, 120)) for u in (100, 180)]
    again = scene.update([face(u, v) for u, v in moved], 0.1, EYE, turned)
    assert [item.track_id for item in first] == [item.track_id for item in again] == [1, 2]


def test_the_nearest_face_comes_first():
    seen = FaceScene(3, 1.0, 0.2).update([face(60, 120, distance=1.5), face(200, 120, distance=0.7)], 0.0, EYE)
    assert [round(item.distance, 3) for item in seen] == [0.7, 1.5]


def test_a_face_turned_to_the_camera_looks_at_the_robot_and_one_turned_away_does_not():
    scene = FaceScene(3, 1.0, math.radians(15.0))
    (facing,) = scene.update([face(160, 120, distance=0.8)], 0.0, EYE)
    assert facing.looking_at_robot
    assert facing.gaze == pytest.approx([-1.0, 0.0, 0.0])
    away = pose_matrix(pitch=math.radians(40.0))[:3, :3] @ OPENGL_TO_OPTICAL
    (averted,) = scene.update([face(160, 120, distance=0.8, rotation=away)], 0.1, EYE)
    assert not averted.looking_at_robot
