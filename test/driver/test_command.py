"""The gate between targets and the robot."""

import math

import numpy as np
import pytest

from bbia_ros.driver.backend import Target
from bbia_ros.driver.command import CommandGate, TargetRefused
from bbia_ros.driver.kinematics import Kinematics
from bbia_ros.driver.reachy_mini import ENVELOPE
from bbia_ros.geometry import euler_from_rotation, pose_matrix


@pytest.fixture
def gate():
    return CommandGate(Kinematics())


def target(head=None, body_yaw=0.0, antennas=(0.0, 0.0)):
    return Target(np.eye(4) if head is None else head, body_yaw, antennas)


def test_a_target_inside_the_envelope_passes_unchanged(gate):
    asked = target(pose_matrix(pitch=0.2, yaw=0.3), 0.1, (0.5, -0.5))
    passed = gate.admit(asked)
    assert np.array_equal(passed.head, asked.head)
    assert (passed.body_yaw, passed.antennas) == (0.1, (0.5, -0.5))
    assert gate.counts.accepted == 1


def test_a_target_outside_is_moved_inside_and_counted(gate):
    passed = gate.admit(target(pose_matrix(pitch=1.2), 4.0, (9.0, -9.0)))
    _, pitch, _ = euler_from_rotation(passed.head)
    assert pitch <= ENVELOPE.pitch + 1e-9
    assert abs(passed.body_yaw) <= ENVELOPE.body_yaw
    assert passed.antennas == (math.pi, -math.pi)
    assert (gate.counts.accepted, gate.counts.clamped) == (0, 1)


def broken():
    skewed = np.eye(4)
    skewed[0, 1] = 0.5
    nan = np.eye(4)
    nan[0, 3] = math.nan
    return [
        target(nan),
        target(skewed),
        target(body_yaw=math.inf),
        target(antennas=(0.0, math.nan)),
        Target(np.eye(3), 0.0, (0.0, 0.0)),
    ]


@pytest.mark.parametrize("bad", broken())
def test_nonsense_is_refused(gate, bad):
    with pytest.raises(TargetRefused):
        gate.admit(bad)
    assert gate.counts.refused == 1


def test_the_stop_latches_until_it_is_cleared(gate):
    gate.stop()
    assert gate.admit(target()) is None
    assert gate.admit(target()) is None
    gate.clear()
    assert gate.admit(target()) is not None
    assert gate.counts.held_back == 2


def test_without_torque_no_target_passes(gate):
    gate.motors = False
    assert gate.admit(target()) is None
