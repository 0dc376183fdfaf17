"""The stand-in robot."""

import numpy as np
import pytest

from bbia_ros.driver.backend import Target
from bbia_ros.driver.mock_backend import SPEED, MockBackend
from bbia_ros.driver.reachy_mini import NEUTRAL_ANTENNAS, NEUTRAL_HEAD, SLEEP_HEAD


class Clock:
    def __init__(self):
        self.now = 0

    def __call__(self):
        return self.now

    def advance(self, seconds):
        self.now += int(seconds * 1e9)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def robot(clock):
    robot = MockBackend(clock)
    robot.connect()
    return robot


def test_it_starts_asleep_and_reports_nothing_while_disconnected(robot):
    assert np.allclose(robot.read_state().head, SLEEP_HEAD, atol=1e-6)
    robot.disconnect()
    assert robot.read_state() is None
    assert robot.camera is None


def test_it_moves_at_limited_speed_and_arrives(robot, clock):
    robot.send_target(Target(np.array(NEUTRAL_HEAD), 1.0, NEUTRAL_ANTENNAS))
    clock.advance(0.1)
    assert robot.read_state().joints[0] == pytest.approx(0.1 * SPEED)
    clock.advance(2.0)
    state = robot.read_state()
    assert state.joints[0] == pytest.approx(1.0)
    assert state.antennas == pytest.approx(NEUTRAL_ANTENNAS)
    assert np.allclose(state.head, NEUTRAL_HEAD, atol=1e-3)


def test_hold_stops_it_where_it_is(robot, clock):
    robot.send_target(Target(np.array(NEUTRAL_HEAD), 1.0, NEUTRAL_ANTENNAS))
    clock.advance(0.1)
    robot.hold()
    held = robot.read_state().joints
    clock.advance(1.0)
    assert np.array_equal(robot.read_state().joints, held)


def test_without_torque_it_stays_and_switching_on_does_not_jump(robot, clock):
    robot.enable_motors(False)
    robot.send_target(Target(np.array(NEUTRAL_HEAD), 1.0, NEUTRAL_ANTENNAS))
    before = robot.read_state().joints
    clock.advance(1.0)
    assert np.array_equal(robot.read_state().joints, before)
    robot.enable_motors(True)
    clock.advance(1.0)
    assert np.array_equal(robot.read_state().joints, before)
