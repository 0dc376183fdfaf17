"""The visitor's walk."""

import math

import pytest

from bbia_ros.driver.sim.visitor import EYE_HEIGHT, Arc, VisitorError


def test_it_walks_at_constant_speed_and_faces_the_robot():
    arc = Arc(start=math.radians(40), end=math.radians(-40), speed=math.radians(20), distance=1.0)
    assert arc.duration == pytest.approx(4.0)
    assert math.degrees(arc.azimuth(1.0)) == pytest.approx(20.0)
    assert math.degrees(arc.azimuth(3.0)) == pytest.approx(-20.0)
    assert arc.face(2.0) == pytest.approx((1.0, 0.0, EYE_HEIGHT))
    assert arc.heading(2.0) == pytest.approx(math.pi)
    assert math.degrees(arc.azimuth(99.0)) == pytest.approx(-40.0)
    assert math.degrees(arc.azimuth(-1.0)) == pytest.approx(40.0)


def test_standing_still_needs_no_speed():
    arc = Arc(start=0.5, end=0.5, speed=0.0, distance=0.8)
    assert arc.duration == 0.0
    assert arc.azimuth(10.0) == 0.5


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((0.0, 1.0, 0.0, 0.8), "speed"),
        ((0.0, 1.0, -1.0, 0.8), "speed"),
        ((0.0, 1.0, 1.0, 0.1), "distance"),
        ((0.0, 1.0, 1.0, 0.8, 9.0), "height"),
        ((math.nan, 1.0, 1.0, 0.8), "finite"),
    ],
)
def test_visits_that_cannot_be(values, words):
    with pytest.raises(VisitorError, match=words):
        Arc(*values)
