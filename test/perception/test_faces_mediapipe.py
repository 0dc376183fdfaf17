"""MediaPipe finds the one face of a portrait, with its smile and its place, and nobody where nobody is."""

import numpy as np
import pytest

from bbia_ros.geometry import angle_between
from bbia_ros.perception.blendshapes import INDEX
from bbia_ros.perception.faces_mediapipe import MediaPipeFaces
from bbia_ros.residency.catalog import resolve

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def engine():
    engine = MediaPipeFaces(str(resolve("face-landmarker", "faces")))
    yield engine
    engine.close()


def test_the_portrait_has_one_smiling_face(engine, portrait):
    (reading,) = engine.faces(portrait.astronaut())
    assert reading.score > 0.8
    assert reading.landmarks.shape == (478, 3)
    assert reading.blendshapes.shape == (52,)
    assert reading.blendshapes[INDEX["mouthSmileLeft"]] > 0.8
    assert reading.blendshapes[INDEX["mouthSmileRight"]] > 0.8
    assert reading.blendshapes[INDEX["eyeBlinkLeft"]] < 0.3
    assert reading.pose is None
    x, y, width, height = reading.box
    assert 150 < x < x + width < 300
    assert 40 < y < y + height < 220


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_nobody_is_seen_where_nobody_is(engine, grey):
    assert engine.faces(np.full((240, 320, 3), grey, dtype=np.uint8)) == []


def test_noise_and_the_portraits_suit_are_not_faces(engine, portrait):
    noise = np.random.default_rng(7).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    assert engine.faces(noise) == []
    assert engine.faces(np.ascontiguousarray(portrait.astronaut()[230:])) == []


def test_a_small_face_is_found_and_its_distance_goes_with_its_size(engine, portrait):
    eye = portrait.camera()
    lengths = []
    for side in (50, 70, 100, 150):
        (reading,) = engine.faces(portrait.visitor(side), portrait.intrinsics())
        lengths.append(reading.pose[2, 3] * side / eye.fx)
    # The board has the same width [m] whatever its distance.
    assert lengths == pytest.approx([np.mean(lengths)] * 4, rel=0.06)
    # By anthropometry the pupils of an adult are 63 mm apart.
    pupils = np.linalg.norm(reading.landmarks[468] - reading.landmarks[473]) * reading.pose[2, 3] / eye.fx
    assert pupils == pytest.approx(0.063, abs=0.006)


def test_pose_and_direction_agree_wherever_the_face_is(engine, portrait):
    eye = portrait.camera()
    for right, down in ((-100, 0), (90, 40), (0, -50)):
        (reading,) = engine.faces(portrait.visitor(80, right=right, down=down), portrait.intrinsics())
        x, y, width, height = reading.box
        direction = eye.ray(x + width / 2, y + height / 2)
        assert np.degrees(angle_between(direction, reading.pose[:3, 3])) < 4.0
        # A portrait that looks into its camera looks at whoever stands before it.
        assert np.degrees(angle_between(reading.pose[:3, 2], -reading.pose[:3, 3])) < 15.0


def test_two_people_are_two_faces_and_the_limit_holds(engine, portrait):
    picture = portrait.visitor(90, right=-80)
    picture[:, 160:] = portrait.visitor(90, right=80)[:, 160:]
    assert len(engine.faces(picture)) == 2
    engine._max_faces = 1
    try:
        assert len(engine.faces(picture)) == 1
    finally:
        engine._max_faces = 3


def test_a_picture_of_another_type_is_refused_and_the_next_is_read(engine, portrait):
    with pytest.raises(ValueError, match="height x width x 3 of uint8"):
        engine.faces(np.zeros((240, 320), dtype=np.uint8))
    assert len(engine.faces(portrait.astronaut())) == 1
