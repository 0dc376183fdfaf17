"""Driver with simulator, perception with its engines: the visitor is seen where it truly is, and nobody else."""

import math

import numpy as np
import pytest

from bbia_ros.driver.node import DriverNode
from bbia_ros.driver.reachy_mini import HEAD_TO_CAMERA
from bbia_ros.geometry import angle_between, matrix_from_pose
from bbia_ros.msg import DetectionArray, FaceArray, SimulationState
from bbia_ros.perception.node import PerceptionNode
from bbia_ros.ros import qos
from bbia_ros.ros.testing import NodeRunner
from bbia_ros.srv import SetVisitor

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def world():
    """A driver and a perception node, both active."""
    with NodeRunner(DriverNode) as driver, NodeRunner(PerceptionNode) as perception:
        assert driver.configure()
        assert driver.activate()
        truth = driver.collect(SimulationState, "driver/simulation_state", qos.SENSOR)
        truth.wait(timeout_s=60.0)
        assert perception.configure()
        assert perception.activate()
        faces = perception.collect(FaceArray, "perception/faces", qos.EVENT)
        objects = perception.collect(DetectionArray, "perception/objects", qos.EVENT)
        yield driver, truth, faces, objects
        perception.deactivate()
        driver.deactivate()


def seen_from_camera(state, point):
    """Unit vector in the head frame and distance from the camera to a point of the world."""
    camera = matrix_from_pose(state.camera)
    away = camera[:3, :3].T @ (np.array([point.x, point.y, point.z]) - camera[:3, 3])
    return HEAD_TO_CAMERA[:3, :3] @ away / np.linalg.norm(away), float(np.linalg.norm(away))


def visit(driver, **request):
    assert driver.call(SetVisitor, "driver/set_visitor", SetVisitor.Request(**request)).ok


def vector(message):
    return np.array([message.x, message.y, message.z])


def test_nobody_is_seen_before_the_visitor_comes_and_after_it_has_gone(world):
    driver, _, faces, _ = world
    visit(driver, present=False)
    for _ in range(5):
        faces.clear()
        assert faces.wait(timeout_s=60.0).faces == []
    visit(driver, present=True, from_azimuth=0.0, to_azimuth=0.0, distance=0.8)
    faces.wait(lambda message: message.faces, 20.0)
    visit(driver, present=False)
    faces.clear()
    faces.wait(lambda message: not message.faces, 20.0)
    faces.clear()
    assert faces.wait(timeout_s=20.0).faces == []


@pytest.mark.parametrize("azimuth_deg", [-30.0, 0.0, 30.0])
def test_the_visitor_is_seen_where_it_is(world, azimuth_deg):
    driver, truth, faces, _ = world
    azimuth = math.radians(azimuth_deg)
    visit(driver, present=True, from_azimuth=azimuth, to_azimuth=azimuth, distance=0.8)
    truth.clear()
    state = truth.wait(lambda s: s.visitor_present and abs(math.atan2(s.visitor.y, s.visitor.x) - azimuth) < 0.01, 10.0)
    direction, distance = seen_from_camera(state, state.visitor)
    message = faces.wait(
        lambda m: m.faces and math.degrees(angle_between(vector(m.faces[-1].bearing), direction)) < 2.0, 20.0
    )
    (face,) = message.faces
    # The portrait is 1.25 times as large as life, so it seems that much nearer.
    assert face.distance == pytest.approx(distance / 1.25, rel=0.12)
    assert face.track_id >= 1


def test_what_lies_on_the_table_is_seen_where_it_is(world):
    driver, truth, _, objects = world
    visit(driver, present=False)
    objects.clear()  # the first image may have come before the camera's description
    message = objects.wait(lambda m: len(m.detections) >= 2, 30.0)
    state = truth.messages[-1]
    places = dict(zip(state.object_names, state.objects, strict=True))
    for found in message.detections:
        direction, distance = seen_from_camera(state, places[found.label])
        assert math.degrees(angle_between(vector(found.bearing), direction)) < 5.0, found.label
        assert abs(found.distance - distance) < 4.0 * found.distance_std + 0.02, found.label
