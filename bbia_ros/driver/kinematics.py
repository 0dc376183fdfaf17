"""Inverse and forward kinematics of the head: six arms under a platform that a body joint turns as a whole.

The solver is `reachy_mini_rust_kinematics`, its geometry the `kinematics_data.json` of the `reachy-mini` wheel, which
is found without importing that package (its import takes seconds and pulls in GObject). An inverse takes 6 us, a
forward 30 us. Poses are 4x4 of `head` in `head_neutral` (`reachy_mini`), joints the seven of JOINT_NAMES.
"""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bbia_ros.driver.reachy_mini import ENVELOPE, HEAD_HEIGHT, JOINT_NAMES, LIMITS, SLEEP_HEAD
from bbia_ros.geometry import euler_from_rotation, rotation_from_euler

Matrix = NDArray[np.float64]

INSTALL = "pip install reachy-mini-rust-kinematics==1.0.3 && pip install --no-deps reachy-mini==1.13.0"

ROOMY_Z = -0.018
"""Height [m] at which, with the head centred, every orientation of the envelope is reachable (a test goes through
them): lower, and the arms' other ends stop; higher, and the rods are too short."""

_CONVERGED = 1e-9
_CONSISTENT = 1e-3
_NEAR = 0.25  # [rad] farther from the last answer than this, Newton's steps may end in another pose of the platform


class KinematicsError(Exception):
    """The kinematics cannot answer: not installed, or the joints belong to no pose."""


def load_geometry() -> dict[str, Any]:
    """The robot's dimensions as `reachy-mini` ships them: motor_arm_length, rod_length, head_z_offset, motors.

    Raises:
        KinematicsError: the package is not installed or lacks the file.
    """
    spec = importlib.util.find_spec("reachy_mini")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "assets" / "kinematics_data.json"
        if path.is_file():
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return data
    raise KinematicsError(
        f"the robot's dimensions come with the package reachy-mini, which is not installed: {INSTALL}"
    )


class Kinematics:
    """Solver for one robot. Owns the Rust solver and its last forward solution; not to be shared between threads.

    Raises:
        KinematicsError: a package is missing.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("reachy_mini_rust_kinematics") is None:
            raise KinematicsError(f"the package reachy-mini-rust-kinematics is not installed: {INSTALL}")
        from reachy_mini_rust_kinematics import ReachyMiniRustKinematics

        geometry = load_geometry()
        self._solver = ReachyMiniRustKinematics(geometry["motor_arm_length"], geometry["rod_length"])
        for motor in geometry["motors"]:
            world_to_motor = np.linalg.inv(np.array(motor["T_motor_world"])).tolist()
            self._solver.add_branch(motor["branch_position"], world_to_motor, 1 if motor["solution"] else -1)
        self._lower = [LIMITS[name][0] for name in JOINT_NAMES[1:]]
        self._upper = [LIMITS[name][1] for name in JOINT_NAMES[1:]]
        self._neutral_arms: list[float] = self._solver.inverse_kinematics(_raised(np.eye(4)), 0.0)
        self._last, self._last_arms = np.eye(4), self._neutral_arms

    def inverse(self, head: ArrayLike, body_yaw: float) -> Matrix:
        """Joint angles (7,) [rad] for a head pose; NaN in those arms that cannot reach. Limits are not checked.

        Args:
            head: 4x4, `head` in `head_neutral`.
            body_yaw: [rad].
        """
        return np.array([body_yaw, *self._solver.inverse_kinematics(_raised(head), float(body_yaw))])

    def feasible(self, head: ArrayLike, body_yaw: float) -> bool:
        """Whether every joint reaches that pose within LIMITS (the body's own limit included)."""
        if not abs(body_yaw) <= LIMITS["yaw_body"][1]:
            return False
        arms = self._solver.inverse_kinematics(_raised(head), float(body_yaw))
        return all(low <= a <= high for low, a, high in zip(self._lower, arms, self._upper, strict=True))

    def forward(self, joints: ArrayLike) -> tuple[Matrix, float]:
        """Head pose 4x4 and body yaw of joint angles (7,) [rad].

        The platform has several poses for the same angles; this gives the one that the head can get into: near the
        last answer, or else on the way from neutral.

        Raises:
            KinematicsError: no upright pose belongs to these angles.
        """
        body_yaw, *arms = (float(j) for j in np.asarray(joints, dtype=np.float64))
        if not all(map(math.isfinite, (body_yaw, *arms))):
            raise KinematicsError(f"joint angles must be finite, got {[body_yaw, *arms]}")
        near = all(abs(a - b) < _NEAR for a, b in zip(arms, self._last_arms, strict=True))
        pose = self._newton(arms, self._last) if near else None
        if pose is None:
            pose = self._walk(arms)
        if pose is None:
            pose = self._newton(arms, SLEEP_HEAD)
        if pose is None:
            raise KinematicsError(
                f"no head pose belongs to the joint angles {[round(a, 3) for a in (body_yaw, *arms)]}"
            )
        self._last, self._last_arms = pose, arms
        turn = rotation_from_euler(0.0, 0.0, body_yaw)
        head = np.eye(4)
        head[:3, :3] = turn @ pose[:3, :3]
        head[:3, 3] = turn @ pose[:3, 3]
        return head, body_yaw

    def project(self, head: ArrayLike, body_yaw: float) -> tuple[Matrix, float]:
        """The nearest head pose and body yaw inside the envelope that the joints reach.

        Nearest for the gaze: the orientation is kept as far as the envelope lets it be, then the position slides
        towards the middle of the workspace until the arms reach. A pose that is feasible comes back unchanged.

        Raises:
            ValueError: a value is not finite.
        """
        pose = np.array(head, dtype=np.float64)
        if not (np.isfinite(pose).all() and math.isfinite(body_yaw)):
            raise ValueError(f"a head pose must be finite, got {pose.tolist()}, body yaw {body_yaw}")
        e = ENVELOPE
        body_yaw = _clamp(body_yaw, e.body_yaw)
        roll, pitch, yaw = euler_from_rotation(pose)
        relative = _clamp(math.remainder(yaw - body_yaw, math.tau), e.relative_yaw)
        wanted = (_clamp(roll, e.roll), _clamp(pitch, e.pitch), _clamp(body_yaw + relative, e.head_yaw))
        # Written back only when something really changed, so that a pose inside stays bit for bit what it was.
        if max(abs(a - b) for a, b in zip(wanted, (roll, pitch, yaw), strict=True)) > 1e-12:
            pose[:3, :3] = rotation_from_euler(*wanted)
        for axis, (low, high) in enumerate((e.x, e.y, e.z)):
            pose[axis, 3] = min(high, max(low, pose[axis, 3]))
        if self.feasible(pose, body_yaw):
            return pose, body_yaw
        asked, middle = pose[:3, 3].copy(), np.array([0.0, 0.0, ROOMY_Z])
        inside, outside = 1.0, 0.0
        for _ in range(12):
            step = 0.5 * (inside + outside)
            pose[:3, 3] = asked + step * (middle - asked)
            inside, outside = (step, outside) if self.feasible(pose, body_yaw) else (inside, step)
        pose[:3, 3] = asked + inside * (middle - asked)
        return pose, body_yaw

    def _newton(self, arms: list[float], start: ArrayLike) -> Matrix | None:
        """Head pose relative to a body at yaw 0, from a guess nearby; None if that leads nowhere sensible."""
        self._solver.reset_forward_kinematics(_raised(start))
        pose, previous = np.eye(4), np.zeros((4, 4))
        for _ in range(80):
            pose = np.array(self._solver.forward_kinematics(arms, 0.0))
            if np.abs(pose - previous).max() < _CONVERGED:
                break
            previous = pose
        pose[2, 3] -= HEAD_HEIGHT
        if not np.isfinite(pose).all() or pose[2, 2] < 0.2:
            return None
        again = self._solver.inverse_kinematics(_raised(pose), 0.0)
        if not all(abs(a - b) < _CONSISTENT for a, b in zip(again, arms, strict=True)):
            return None
        return pose

    def _walk(self, arms: list[float], steps: int = 16) -> Matrix | None:
        """The same by following the arms from neutral in small steps, which stays on the head's own solution."""
        pose: Matrix | None = np.eye(4)
        for step in range(1, steps + 1):
            share = step / steps
            between = [n + share * (a - n) for n, a in zip(self._neutral_arms, arms, strict=True)]
            pose = self._newton(between, pose if pose is not None else np.eye(4))
            if pose is None:
                return None
        return pose


def _raised(head: ArrayLike) -> list[list[float]]:
    """The pose as the solver wants it: nested lists, measured from the base."""
    pose: list[list[float]] = np.asarray(head, dtype=np.float64).tolist()
    pose[2][3] += HEAD_HEIGHT
    return pose


def _clamp(value: float, limit: float) -> float:
    return min(limit, max(-limit, value))
