"""Pixels become directions in the head frame, and sizes distances, only where a size is known."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bbia_ros.perception.bearing import KNOWN_SIZES, CameraError, Intrinsics, bearing, object_distance

EYE = Intrinsics(143.0, 143.0, 160.0, 120.0, 320, 240)


def test_the_middle_of_the_image_is_straight_ahead():
    assert bearing(EYE, 160.0, 120.0) == pytest.approx([1.0, 0.0, 0.0])


def test_image_left_is_left_and_image_top_is_up():
    assert bearing(EYE, 160.0 - 143.0, 120.0) == pytest.approx([math.sqrt(0.5), math.sqrt(0.5), 0.0])
    assert bearing(EYE, 160.0, 120.0 - 143.0) == pytest.approx([math.sqrt(0.5), 0.0, math.sqrt(0.5)])


@given(st.floats(-50, 370), st.floats(-50, 290))
def test_a_ray_leads_back_to_its_pixel(u, v):
    ray = EYE.ray(u, v)
    assert np.linalg.norm(ray) == pytest.approx(1.0)
    assert EYE.pixel(ray) == pytest.approx((u, v), abs=1e-6)


def test_what_is_behind_the_camera_has_no_pixel():
    assert all(math.isnan(value) for value in EYE.pixel(np.array([0.1, 0.0, -1.0])))


def test_camera_info_gives_the_intrinsics():
    assert Intrinsics.from_k([143.0, 0, 160.0, 0, 143.0, 120.0, 0, 0, 1], 320, 240) == EYE


@pytest.mark.parametrize(
    ("k", "size"),
    [
        ([0.0] * 9, (320, 240)),
        ([143.0, 0, 160.0], (320, 240)),
        ([math.nan, 0, 160.0, 0, 143.0, 120.0, 0, 0, 1], (320, 240)),
        ([143.0, 0, 160.0, 0, 143.0, 120.0, 0, 0, 1], (0, 240)),
    ],
)
def test_an_unusable_camera_info_is_refused(k, size):
    with pytest.raises(CameraError, match="camera_info"):
        Intrinsics.from_k(k, *size)


def box_of_sphere(diameter, position):
    """Box in the image of a sphere, from the directions that touch it in the horizontal and vertical planes."""
    x, y, z = position
    edges = []
    for side, along in ((x, z), (y, z)):
        middle = math.atan2(side, along)
        half = math.asin(diameter / 2.0 / math.hypot(side, along))
        edges.append((math.tan(middle - half), math.tan(middle + half)))
    (left, right), (top, bottom) = edges
    return (160 + 143 * left, 120 + 143 * top, 143 * (right - left), 143 * (bottom - top))


@pytest.mark.parametrize("position", [(0, 0, 0.5), (0.2, 0.1, 0.5), (-0.3, 0.2, 0.6), (0.05, -0.05, 0.3)])
def test_an_apple_is_as_far_as_its_size_tells(position):
    distance, std = object_distance(EYE, "apple", box_of_sphere(KNOWN_SIZES["apple"].mean, position))
    true = float(np.linalg.norm(position))
    assert distance == pytest.approx(true, rel=0.05)
    assert 0.01 * true < std < 0.1 * true


def test_a_croissant_is_less_certain_than_an_apple():
    box = (140.0, 110.0, 40.0, 25.0)
    croissant, apple = object_distance(EYE, "croissant", box), object_distance(EYE, "apple", box)
    assert croissant[1] / croissant[0] > 2.0 * apple[1] / apple[0]


def test_twice_the_size_is_half_the_distance():
    near, _ = object_distance(EYE, "duck", (140.0, 100.0, 40.0, 40.0))
    far, _ = object_distance(EYE, "duck", (150.0, 110.0, 20.0, 20.0))
    assert far == pytest.approx(2.0 * near, rel=0.02)


@pytest.mark.parametrize("label", ["person", "cup", ""])
def test_a_thing_of_unknown_size_has_no_distance(label):
    assert all(math.isnan(value) for value in object_distance(EYE, label, (140.0, 100.0, 40.0, 40.0)))


@pytest.mark.parametrize("box", [(0, 100, 30, 30), (150, 0, 30, 30), (290, 100, 30, 30), (150, 215, 30, 25)])
def test_a_thing_cut_by_the_border_has_no_distance(box):
    assert all(math.isnan(value) for value in object_distance(EYE, "apple", box))


def test_known_sizes_are_those_of_the_robot_packages_meshes():
    spec = importlib.util.find_spec("reachy_mini")
    assets = Path(next(iter(spec.submodule_search_locations))) / "descriptions" / "reachy_mini" / "mjcf" / "assets"
    meshes = {
        "apple": ("food_apple_01_1k.blend/food_apple_01_1k.obj", 1.0, 1),
        "croissant": ("croissant_1k.blend/croissant_1k.obj", 1.0, 2),
        "duck": ("rubber_duck_toy_1k.blend/rubber_duck_toy_1k.obj", 0.4, 1),
    }
    assert set(meshes) == set(KNOWN_SIZES)
    for label, (file, scale, up) in meshes.items():
        lines = (assets / file).read_text().splitlines()
        vertices = scale * np.array([[float(word) for word in line.split()[1:4]] for line in lines if line[:2] == "v "])
        z = vertices[:, up]
        a, b = (vertices[:, axis] for axis in range(3) if axis != up)
        looks = []
        for azimuth in np.radians(np.arange(0, 360, 10)):
            across, along = a * np.cos(azimuth) + b * np.sin(azimuth), b * np.cos(azimuth) - a * np.sin(azimuth)
            for elevation in np.radians((10, 20, 30, 40, 50)):
                height = z * np.cos(elevation) + along * np.sin(elevation)
                looks.append(math.sqrt(np.ptp(across) * np.ptp(height)))
        assert KNOWN_SIZES[label].mean == pytest.approx(np.mean(looks), abs=1e-4), label
        assert KNOWN_SIZES[label].std == pytest.approx(np.std(looks), abs=1e-4), label
