"""The robot's figures and its kinematics, against each other and against the MJCF in MuJoCo."""

from __future__ import annotations

import importlib.util
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bbia_ros.driver import reachy_mini as robot
from bbia_ros.driver.kinematics import ROOMY_Z, Kinematics, KinematicsError
from bbia_ros.geometry import angle_between, euler_from_rotation, inverse_pose, pose_matrix

DEG = math.radians(1.0)
NUMBERS = st.floats(-1e6, 1e6)
POSES = [  # x, y, z [m], roll, pitch, yaw, body yaw [deg]
    (0, 0, 0, 0, 0, 0, 0),
    (0, 0, 0.005, 0, -20, 0, 0),
    (0, 0, 0, 0, 20, 0, 0),
    (0, 0, 0, 25, 0, 0, 0),
    (0, 0, 0, 0, 0, 40, 0),
    (0, 0, -0.005, 10, -15, 100, 60),
    (0.01, -0.01, -0.01, -10, 10, -70, -30),
]


@pytest.fixture(scope="module")
def kinematics() -> Kinematics:
    return Kinematics()


def head(x: float, y: float, z: float, roll: float, pitch: float, yaw: float) -> np.ndarray:
    return pose_matrix(x, y, z, roll * DEG, pitch * DEG, yaw * DEG)


def test_importing_it_loads_neither_the_sdk_nor_the_solver() -> None:
    code = "import sys, bbia_ros.driver.kinematics; print(sorted(m for m in sys.modules if m.startswith('reachy')))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_neutral_lifts_all_arms_alike(kinematics: Kinematics) -> None:
    joints = kinematics.inverse(robot.NEUTRAL_HEAD, 0.0)
    assert np.ptp(np.abs(joints[1:])) < 1e-4
    assert joints[0] == 0.0


def test_turning_body_and_head_together_moves_only_the_body(kinematics: Kinematics) -> None:
    still, turned = (
        kinematics.inverse(head(0, 0, 0, 5, 10, 20), 0.0),
        kinematics.inverse(head(0, 0, 0, 5, 10, 50), 30 * DEG),
    )
    assert turned[1:] == pytest.approx(still[1:], abs=1e-6)


@pytest.mark.parametrize("pose", POSES)
def test_forward_undoes_inverse(kinematics: Kinematics, pose: tuple[float, ...]) -> None:
    wanted, body_yaw = head(*pose[:6]), pose[6] * DEG
    got, got_yaw = kinematics.forward(kinematics.inverse(wanted, body_yaw))
    assert np.abs(got - wanted).max() < 1e-4
    assert got_yaw == pytest.approx(body_yaw)


def test_the_slumped_head_hangs_nose_down(kinematics: Kinematics) -> None:
    pose, _ = kinematics.forward(robot.SLEEP_SLUMPED_JOINTS)
    _, pitch, _ = euler_from_rotation(pose)
    assert 20 * DEG < pitch < 40 * DEG
    assert pose[2, 3] < -0.04


def test_forward_refuses_what_is_no_pose(kinematics: Kinematics) -> None:
    with pytest.raises(KinematicsError, match="finite"):
        kinematics.forward([0.0, math.nan, 0.0, 0.0, 0.0, 0.0, 0.0])


def test_rest_poses_are_reachable(kinematics: Kinematics) -> None:
    assert kinematics.feasible(robot.NEUTRAL_HEAD, 0.0)
    assert kinematics.feasible(robot.SLEEP_HEAD, 0.0)


def test_every_orientation_of_the_envelope_is_reachable_where_projection_goes(kinematics: Kinematics) -> None:
    rolls = pitches = np.linspace(-robot.ENVELOPE.roll, robot.ENVELOPE.roll, 9)
    yaws = np.linspace(-robot.ENVELOPE.relative_yaw, robot.ENVELOPE.relative_yaw, 11)
    for roll, pitch, yaw in ((r, p, y) for r in rolls for p in pitches for y in yaws):
        assert kinematics.feasible(pose_matrix(0, 0, ROOMY_Z, roll, pitch, yaw), 0.0)


@settings(max_examples=300, deadline=None)
@given(st.tuples(*[NUMBERS] * 7))
def test_whatever_is_asked_projection_is_feasible_and_inside(kinematics: Kinematics, values: tuple[float, ...]) -> None:
    pose, body_yaw = kinematics.project(pose_matrix(*values[:6]), values[6])
    e = robot.ENVELOPE
    roll, pitch, yaw = euler_from_rotation(pose)
    assert kinematics.feasible(pose, body_yaw)
    assert max(abs(roll) - e.roll, abs(pitch) - e.pitch, abs(body_yaw) - e.body_yaw) < 1e-9
    assert abs(math.remainder(yaw - body_yaw, math.tau)) < e.relative_yaw + 1e-9


@pytest.mark.parametrize("pose", POSES)
def test_projection_leaves_a_feasible_pose_alone(kinematics: Kinematics, pose: tuple[float, ...]) -> None:
    wanted, body_yaw = head(*pose[:6]), pose[6] * DEG
    got, got_yaw = kinematics.project(wanted, body_yaw)
    assert np.array_equal(got, wanted)
    assert got_yaw == body_yaw


def test_projection_keeps_the_gaze_and_gives_up_height(kinematics: Kinematics) -> None:
    wanted = head(0, 0, 0.015, 0, 35, 0)
    got, _ = kinematics.project(wanted, 0.0)
    assert angle_between(got[:3, 0], wanted[:3, 0]) < 1e-9
    assert got[2, 3] < 0.01


def test_projection_refuses_nan(kinematics: Kinematics) -> None:
    with pytest.raises(ValueError, match="finite"):
        kinematics.project(pose_matrix(x=math.nan), 0.0)


def test_shared_arrays_cannot_be_written(kinematics: Kinematics) -> None:
    with pytest.raises(ValueError, match="read-only"):
        robot.NEUTRAL_HEAD[0, 3] = 1.0


class Mjcf:
    """The robot of the wheel, without gravity, driven to joint angles by its own actuators."""

    def __init__(self) -> None:
        import mujoco

        spec = importlib.util.find_spec("reachy_mini")
        assert spec is not None
        folder = Path((spec.submodule_search_locations or [""])[0]) / "descriptions/reachy_mini/mjcf"
        self.mujoco: Any = mujoco
        self.model = mujoco.MjModel.from_xml_path(str(folder / "reachy_mini.xml"))
        self.model.opt.gravity[:] = 0
        self.model.geom_contype[:] = 0
        self.data = mujoco.MjData(self.model)

    def settle(self, joints: np.ndarray, seconds: float = 3.0) -> np.ndarray:
        """Head pose in head_neutral once the joints are there."""
        start = self.data.ctrl[:7].copy()
        steps = int(seconds / self.model.opt.timestep)
        for step in range(steps):
            self.data.ctrl[:7] = start + min(1.0, 2.0 * step / steps) * (joints - start)
            self.mujoco.mj_step(self.model, self.data)
        return inverse_pose(robot.WORLD_TO_HEAD_NEUTRAL) @ self.pose("head")

    def pose(self, site: str) -> np.ndarray:
        pose = np.eye(4)
        pose[:3, :3] = self.data.site(site).xmat.reshape(3, 3)
        pose[:3, 3] = self.data.site(site).xpos
        return pose

    def joints(self) -> np.ndarray:
        return np.array([self.data.joint(name).qpos[0] for name in robot.JOINT_NAMES])


@pytest.fixture(scope="module")
def mjcf() -> Mjcf:
    return Mjcf()


@pytest.mark.heavy
def test_limits_and_eye_are_those_of_the_mjcf(mjcf: Mjcf) -> None:
    for name in robot.JOINT_NAMES:
        assert mjcf.model.joint(name).range == pytest.approx(robot.LIMITS[name], abs=1e-9)
    assert mjcf.model.camera("eye_camera").fovy[0] * DEG == pytest.approx(robot.CAMERA_FOVY)
    mjcf.settle(Kinematics().inverse(robot.NEUTRAL_HEAD, 0.0), 1.0)
    eye = inverse_pose(mjcf.pose("head")) @ mjcf.pose("camera_optical")
    assert np.abs(eye[:3, :3] - robot.HEAD_TO_CAMERA[:3, :3]).max() < 1e-3
    assert np.linalg.norm(eye[:3, 3] - robot.HEAD_TO_CAMERA[:3, 3]) < 0.005


@pytest.mark.heavy
@pytest.mark.parametrize("pose", [*POSES, None], ids=[*map(str, POSES), "sleep"])
def test_joints_of_inverse_put_the_simulated_head_there(mjcf: Mjcf, pose: tuple[float, ...] | None) -> None:
    wanted = robot.SLEEP_HEAD if pose is None else head(*pose[:6])
    joints = Kinematics().inverse(wanted, 0.0 if pose is None else pose[6] * DEG)
    got = mjcf.settle(joints)
    assert mjcf.joints() == pytest.approx(joints, abs=0.02)
    assert np.linalg.norm(got[:3, 3] - wanted[:3, 3]) < 0.002
    assert angle_between(got[:3, 0], wanted[:3, 0]) < 1.0 * DEG
    assert angle_between(got[:3, 2], wanted[:3, 2]) < 1.0 * DEG
    measured, _ = Kinematics().forward(mjcf.joints())
    assert np.linalg.norm(measured[:3, 3] - got[:3, 3]) < 0.001
    assert angle_between(measured[:3, 0], got[:3, 0]) < 0.5 * DEG
