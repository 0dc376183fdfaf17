"""A stream of images is thinned to a rate, and a camera's jitter does not halve it."""

import random

import pytest

from bbia_ros.perception.pace import Pace


def taken(rate, stamps):
    pace = Pace(rate)
    return sum(pace.take(stamp) for stamp in stamps)


@pytest.mark.parametrize(("camera", "rate", "expected"), [(30, 10, 100), (30, 7, 70), (10, 10, 100), (5, 10, 50)])
def test_the_rate_is_kept_on_average(camera, rate, expected):
    assert taken(rate, [index / camera for index in range(10 * camera)]) == pytest.approx(expected, abs=2)


def test_a_jittering_camera_of_the_same_rate_loses_almost_nothing():
    randomness = random.Random(3)
    assert taken(10.0, [index / 10 + randomness.uniform(-0.02, 0.02) for index in range(100)]) >= 97


def test_a_pause_earns_no_burst():
    pace = Pace(10.0)
    assert pace.take(0.0)
    assert pace.take(60.0)
    assert sum(pace.take(60.0 + index / 100) for index in range(1, 20)) <= 2
