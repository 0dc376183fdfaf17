"""The driver's messages: plain values in, ROS messages out, and back."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, PoseStamped
from sensor_msgs.msg import CameraInfo, JointState
from std_msgs.msg import Header

from bbia_ros.driver.audio import RATE, Samples, to_int16
from bbia_ros.driver.backend import RobotState, Target
from bbia_ros.driver.command import TargetRefused
from bbia_ros.driver.loudspeaker import Chunk, Playback
from bbia_ros.driver.reachy_mini import ANTENNA_NAMES, JOINT_NAMES, WORLD_TO_HEAD_NEUTRAL
from bbia_ros.geometry import fill_pose, matrix_from_pose
from bbia_ros.msg import AudioChunk, AudioPlayback, RobotTarget, SimulationState

_NAMES = [*JOINT_NAMES, *ANTENNA_NAMES]


def target_from(message: RobotTarget) -> Target:
    """Reads a RobotTarget.

    Raises:
        TargetRefused: a number is not finite, the quaternion is zero, or the frame is another.
    """
    if message.header.frame_id not in ("", "head_neutral"):
        raise TargetRefused(f"a target must be in frame head_neutral, not {message.header.frame_id!r}")
    try:
        head = matrix_from_pose(message.head)
    except ValueError as error:
        raise TargetRefused(str(error)) from error
    right, left = message.antennas
    return Target(head, float(message.body_yaw), (float(right), float(left)))


def joint_state(state: RobotState, stamp: Time) -> JointState:
    """Joint angles: JOINT_NAMES, then ANTENNA_NAMES."""
    positions = array.array("d", [*state.joints.tolist(), *state.antennas])
    return JointState(header=Header(stamp=stamp), name=_NAMES, position=positions)


def head_pose(state: RobotState, stamp: Time) -> PoseStamped:
    """Pose of `head` in `head_neutral`."""
    message = PoseStamped(header=Header(stamp=stamp, frame_id="head_neutral"))
    fill_pose(message.pose, state.head)
    return message


def camera_info(width: int, height: int, focal: float, header: Header) -> CameraInfo:
    """Pinhole without distortion, square pixels, the optical axis through the picture's centre."""
    cx, cy = width / 2.0, height / 2.0
    return CameraInfo(
        header=header, width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5,
        k=[focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )  # fmt: skip


def simulation_state(state: Any, stamp: Time) -> SimulationState:
    """Ground truth from a record of `sim.block.STATE`."""
    message = SimulationState(header=Header(stamp=stamp, frame_id="world"))
    fill_pose(message.camera, state["camera"])
    fill_pose(message.head, WORLD_TO_HEAD_NEUTRAL @ state["head"])
    message.visitor_present = bool(state["visitor_present"])
    message.visitor = _point(state["visitor"])
    names = [name.decode() for name in state["object_names"] if name]
    message.object_names = names
    message.objects = [_point(position) for position in state["objects"][: len(names)]]
    message.qpos = array.array("d", state["qpos"][: int(state["nq"])].tolist())
    message.mocap_pos = array.array("d", state["mocap_pos"].tolist())
    message.mocap_quat = array.array("d", state["mocap_quat"].tolist())
    return message


def _point(position: Any) -> Point:
    x, y, z = (float(value) for value in position)
    return Point(x=x, y=y, z=z)


def microphone_chunk(samples: Samples, sequence: int, stamp: Time) -> AudioChunk:
    """A piece of 16 kHz mono from the microphone."""
    return AudioChunk(
        header=Header(stamp=stamp, frame_id="microphone"), sequence=sequence, sample_rate=RATE, channels=1,
        samples=array.array("h", to_int16(samples).tobytes()),
    )  # fmt: skip


def chunk_from(message: AudioChunk) -> Chunk:
    """Reads a piece of speech for the loudspeaker."""
    return Chunk(
        message.utterance_id, message.sample_rate, message.channels, np.asarray(message.samples, np.int16),
        flush=message.flush, last=message.last,
    )  # fmt: skip


def playback(report: Playback, stamp: Time) -> AudioPlayback:
    """What the loudspeaker is doing."""
    return AudioPlayback(
        header=Header(stamp=stamp, frame_id="loudspeaker"), utterance_id=report.utterance_id,
        position_s=report.position_s, level_dbfs=report.level_dbfs, done=report.done, flushed=report.flushed,
    )  # fmt: skip
