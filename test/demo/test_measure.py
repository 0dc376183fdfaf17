from __future__ import annotations

import math

import numpy as np
import pytest
from geometry_msgs.msg import Point, PoseStamped

from bbia_ros.demo.measure import first_sound, gaze_error, median_pitch, nose_lift, object_errors, visitor_errors
from bbia_ros.geometry import fill_pose, pose_matrix
from bbia_ros.msg import AudioChunk, SimulationState

OPTICAL = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], dtype=float)
"""Optical axes (z forward, x right, y down) of a camera that looks along +x."""


def state(yaw: float) -> SimulationState:
    message = SimulationState(
        visitor_present=True, visitor=Point(x=2.0), object_names=["apple"], objects=[Point(y=2.0)]
    )
    fill_pose(message.camera, pose_matrix(yaw=yaw) @ OPTICAL)
    return message


def test_gaze_error_is_the_angle_to_the_thing() -> None:
    assert gaze_error(state(0.0), Point(x=3.0)) == pytest.approx(0.0, abs=1e-9)
    assert visitor_errors([state(0.3)]) == [pytest.approx(0.3)]
    assert object_errors([state(0.0)], "apple") == [pytest.approx(math.pi / 2)]


def test_nobody_and_nothing_give_no_errors() -> None:
    absent = state(0.0)
    absent.visitor_present = False
    assert visitor_errors([absent]) == []
    assert object_errors([state(0.0)], "duck") == []


def test_pitch_is_positive_nose_down() -> None:
    poses = [PoseStamped() for _ in range(3)]
    for pose, pitch in zip(poses, (0.1, 0.2, 0.9), strict=True):
        fill_pose(pose.pose, pose_matrix(pitch=pitch))
    assert median_pitch(poses) == pytest.approx(0.2)
    assert math.isnan(median_pitch([]))


def chunk(at: float, samples: list[int], utterance: str = "u") -> AudioChunk:
    message = AudioChunk(samples=samples, utterance_id=utterance, sample_rate=16000, channels=1)
    message.header.stamp.sec, message.header.stamp.nanosec = int(at), int(at % 1 * 1e9)
    return message


def test_the_first_sound_skips_empty_chunks_and_other_utterances() -> None:
    chunks = [chunk(1.0, []), chunk(2.0, [1], "other"), chunk(3.5, [1])]
    assert first_sound(chunks) == pytest.approx(2.0)
    assert first_sound(chunks, ["u"]) == pytest.approx(3.5)
    assert first_sound([chunk(1.0, [])]) is None


def test_a_nose_held_up_is_a_positive_lift_whatever_the_visitor_s_height() -> None:
    for height in (-0.5, 0.0, 0.5):
        message = SimulationState(visitor_present=True, visitor=Point(x=2.0, z=height))
        level = math.atan2(height, 2.0)
        fill_pose(message.camera, pose_matrix(pitch=-(level + 0.1)) @ OPTICAL)
        assert nose_lift([message]) == pytest.approx(0.1)
    assert math.isnan(nose_lift([SimulationState()]))
