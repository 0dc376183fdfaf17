"""Reachy Mini in figures: joints, limits, safety envelope, poses, camera. The one place that knows them.

Frames: `world` is the frame of the MJCF; `head_neutral` is fixed to the base where the head frame is in the neutral
pose, axes as `world`, 0.177 m above it; `head` moves with the head (x forward, y left, z up); `camera_optical` is the
eye (z forward, x right, y down). A head pose is a 4x4 of `head` in `head_neutral`, so identity is neutral. Its yaw
counts from the base, not from the body. Euler angles are fixed-axis xyz: positive pitch points the nose down.

Sources: the MJCF and `kinematics_data.json` of the `reachy-mini` 1.13 wheel, its SDK's constants, the servos' data
sheets. Lengths in metres, angles in radians.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bbia_ros.geometry import pose_matrix


def _constant(values: object) -> NDArray[np.float64]:
    """An array that nobody can write to."""
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


JOINT_NAMES: Final = ("yaw_body", "stewart_1", "stewart_2", "stewart_3", "stewart_4", "stewart_5", "stewart_6")
"""The head's joints in the order of every vector of seven, as in the MJCF (the motor of yaw_body is body_rotation)."""

ANTENNA_NAMES: Final = ("right_antenna", "left_antenna")
"""Antennas always come right, left. MuJoCo's antenna joints turn the other way round: qpos = -angle."""

LIMITS: Final[dict[str, tuple[float, float]]] = {
    "yaw_body": (-2.792526803190879, 2.792526803190879),
    "stewart_1": (-0.8377580409572, 1.3962634015955),
    "stewart_2": (-1.3962634015956, 1.2217304763959),
    "stewart_3": (-0.8377580409572, 1.3962634015955),
    "stewart_4": (-1.3962634015954, 0.8377580409573),
    "stewart_5": (-1.2217304763962, 1.3962634015953),
    "stewart_6": (-1.3962634015954, 0.8377580409573),
    "right_antenna": (-math.pi, math.pi),
    "left_antenna": (-math.pi, math.pi),
}
"""Lowest and highest angle of each joint: the MJCF's ranges; the antennas', which it leaves open, from the URDF."""


@dataclass(frozen=True)
class Envelope:
    """What the robot may be asked to do; everything that is sent to it is inside.

    The angles are the SDK's safety limits. The translations are the cuboid in which the platform has room to turn;
    which corner of it is reachable depends on the orientation (`kinematics.project`).

    Attributes:
        roll: largest head roll, either side.
        pitch: largest head pitch, up or down.
        head_yaw: largest head yaw against the base.
        body_yaw: largest body yaw: 160 degrees, a hair inside the joint's own limit.
        relative_yaw: largest |head yaw - body yaw|.
        x: lowest and highest head position forward.
        y: lowest and highest head position to the left.
        z: lowest and highest head position up.
        antenna: largest antenna angle, either side.
    """

    roll: float = math.radians(40.0)
    pitch: float = math.radians(40.0)
    head_yaw: float = math.radians(180.0)
    body_yaw: float = 2.7925
    relative_yaw: float = math.radians(65.0)
    x: tuple[float, float] = (-0.03, 0.03)
    y: tuple[float, float] = (-0.03, 0.03)
    z: tuple[float, float] = (-0.045, 0.02)
    antenna: float = math.pi


ENVELOPE: Final = Envelope()


@dataclass(frozen=True)
class Rates:
    """Fastest change of one kind of coordinate.

    Attributes:
        speed: [m/s] or [rad/s].
        acceleration: [m/s^2] or [rad/s^2].
    """

    speed: float
    acceleration: float


POSITION_RATES: Final = Rates(0.3, 5.0)
"""Head position, each axis."""
ORIENTATION_RATES: Final = Rates(4.0, 60.0)
"""Head roll, pitch and yaw, each. The servos (XL330-M288, 10.8 rad/s unloaded at 5 V) turn the platform 1:1 or so."""
BODY_YAW_RATES: Final = Rates(3.0, 20.0)
"""Body yaw: one servo (XC330-M288) under the whole upper body."""
ANTENNA_RATES: Final = Rates(8.0, 120.0)
"""Each antenna; the servo alone manages 40 rad/s (XL330-M077), the antenna on its spring wobbles from about 10."""

HEAD_HEIGHT: Final = 0.177
"""Height of the neutral head frame above the base (`head_z_offset` of kinematics_data.json)."""

WORLD_TO_HEAD_NEUTRAL: Final = _constant(pose_matrix(z=HEAD_HEIGHT))
"""Pose 4x4 of `head_neutral` in `world`."""

NEUTRAL_HEAD: Final = _constant(np.eye(4))
NEUTRAL_ANTENNAS: Final = (-0.1745, 0.1745)
"""Ten degrees outwards: upright they shake (SDK, INIT_ANTENNAS_JOINT_POSITIONS)."""

SLEEP_HEAD: Final = _constant(pose_matrix(x=-0.021, z=-0.044, pitch=math.asin(0.413)))
"""Head at rest on the body, nose 24 degrees down (SDK, SLEEP_HEAD_POSE, made symmetric); reachable within LIMITS."""
SLEEP_ANTENNAS: Final = (-3.05, 3.05)
"""Folded down along the head (SDK, SLEEP_ANTENNAS_JOINT_POSITIONS)."""
SLEEP_SLUMPED_JOINTS: Final = (0.0, -0.985, 1.262, -0.244, 0.206, -1.236, 1.003)
"""What the motors read when the head has sunk with torque off (SDK, SLEEP_HEAD_JOINT_POSITIONS). Four of them are
beyond LIMITS, so command SLEEP_HEAD instead."""

HEAD_TO_CAMERA: Final = _constant([[0, 0, 1, 0.0437], [-1, 0, 0, 0.0], [0, -1, 0, 0.0512], [0, 0, 0, 1]])
"""Pose 4x4 of `camera_optical` in `head` (SDK, vision/look_at.py; the MJCF's eye is within 5 mm of it)."""

CAMERA_FOVY: Final = math.radians(80.0)
"""Vertical field of view of the eye (MJCF, `eye_camera`)."""


def focal_length(height: int, fovy: float = CAMERA_FOVY) -> float:
    """Focal length [pixel] of an eye for an image of that height; pixels are square, the centre is the image's.

    Args:
        height: rows of the image.
        fovy: vertical field of view [rad].
    """
    return 0.5 * height / math.tan(0.5 * fovy)
