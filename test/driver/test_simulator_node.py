"""The driver node with the real simulator: physics and camera workers, a visitor, a room."""

import contextlib
import math
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_srvs.srv import SetBool, Trigger

from bbia_ros.driver.node import DriverNode
from bbia_ros.driver.reachy_mini import SLEEP_HEAD
from bbia_ros.geometry import angle_between, fill_pose, matrix_from_pose, pose_matrix
from bbia_ros.msg import AudioChunk, RobotTarget, SimulationState
from bbia_ros.ros import qos
from bbia_ros.ros.images import to_rgb
from bbia_ros.ros.testing import NodeRunner, wait_until
from bbia_ros.srv import PlayRoomAudio, SetVisitor

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def robot():
    with NodeRunner(DriverNode) as runner:
        assert runner.configure()
        started = time.monotonic()
        assert runner.activate()
        runner.activation_s = time.monotonic() - started
        runner.heads = runner.collect(PoseStamped, "head_pose", qos.SENSOR)
        runner.truth = runner.collect(SimulationState, "driver/simulation_state", qos.SENSOR)
        runner.targets = runner.publisher(RobotTarget, "motion/target", qos.COMMAND)
        runner.truth.wait(timeout_s=60.0)
        yield runner


def model(robot, name):
    return next((info for info in robot.process.models() if info.name == name and info.pid), None)


def send(robot, head, body_yaw=0.0, antennas=(-0.2, 0.2)):
    message = RobotTarget(body_yaw=body_yaw, antennas=antennas)
    fill_pose(message.head, head)
    robot.targets.publish(message)


def error_deg(message, head):
    rotation = matrix_from_pose(message.pose)[:3, :3].T @ head[:3, :3]
    return math.degrees(math.acos(min(1.0, (np.trace(rotation) - 1.0) / 2.0)))


def reach(robot, head, within_deg=1.5, **more):
    robot.heads.clear()
    send(robot, head, **more)
    return robot.heads.wait(lambda message: error_deg(message, head) < within_deg, 5.0)


def call(robot, kind, name, **request):
    return robot.call(kind, name, kind.Request(**request))


@contextlib.contextmanager
def camera(robot):
    inbox = robot.collect(Image, "camera/image_raw", qos.CAMERA)
    subscription = list(robot.probe.subscriptions)[-1]
    try:
        inbox.wait(timeout_s=60.0)
        yield inbox
    finally:
        robot.probe.destroy_subscription(subscription)


def see(robot, inbox, condition, timeout_s=10.0):
    """Waits for a picture that meets a condition; returns it."""
    inbox.clear()
    return to_rgb(inbox.wait(lambda message: condition(to_rgb(message)), timeout_s))


def skin(picture):
    """How many pixels are bright and warm, as a face is and the table's things are not."""
    red, green, blue = (picture[..., channel].astype(int) for channel in range(3))
    return int(((red > 170) & (green > 120) & (blue > 90) & (red > blue + 15)).sum())


def test_activation_does_not_wait_for_the_simulator(robot):
    assert robot.activation_s < 1.0
    wait_until(lambda: model(robot, "simulator") is not None, 10.0, "the simulator to be ready")
    assert model(robot, "camera") is None


def test_the_robot_sleeps_first_and_then_follows_its_targets(robot):
    joints = robot.collect(JointState, "joint_states", qos.SENSOR).wait()
    assert list(joints.name[:2]) == ["yaw_body", "stewart_1"]
    assert len(joints.position) == 9
    assert error_deg(robot.heads.wait(), np.array(SLEEP_HEAD)) < 2.0
    for head, body_yaw in (
        (np.eye(4), 0.0),
        (pose_matrix(pitch=0.3, yaw=0.4), 0.0),
        (pose_matrix(z=0.01, roll=0.2), 0.3),
        (pose_matrix(z=-0.018, pitch=-0.65), 0.0),
        (pose_matrix(z=-0.018, pitch=0.65, yaw=-1.5), -1.0),
    ):
        reached = reach(robot, head, within_deg=1.0, body_yaw=body_yaw)
        assert np.abs(matrix_from_pose(reached.pose)[:3, 3] - head[:3, 3]).max() < 0.002
    state = robot.truth.wait(lambda message: list(message.object_names) == ["croissant", "apple", "duck"])
    assert len(state.qpos) == 58


def test_it_stays_when_targets_end(robot):
    reach(robot, pose_matrix(yaw=0.3))
    time.sleep(0.5)
    robot.heads.clear()
    assert error_deg(robot.heads.wait(), pose_matrix(yaw=0.3)) < 1.5


def test_a_target_with_nan_is_refused_and_nothing_moves(robot):
    reach(robot, np.eye(4))
    message = RobotTarget(antennas=(0.0, math.nan))
    message.head.orientation.w = 1.0
    message.head.position.x = 0.02
    robot.targets.publish(message)
    wait_until(lambda: robot.node.figures.summary().get("refused target") == "1", 5.0, "the refusal")
    robot.heads.clear()
    assert abs(robot.heads.wait().pose.position.x) < 0.005


def test_the_stop_latches_and_holds_until_cleared(robot):
    reach(robot, np.eye(4))
    assert call(robot, Trigger, "driver/stop").success
    send(robot, pose_matrix(yaw=0.5))
    wait_until(lambda: robot.node.figures.summary()["targets held back"] != "0", 5.0, "the stop")
    robot.heads.clear()
    assert error_deg(robot.heads.wait(), np.eye(4)) < 1.5
    assert call(robot, Trigger, "driver/clear_stop").success
    reach(robot, pose_matrix(yaw=0.5), body_yaw=0.2)


def test_without_torque_nothing_is_followed_and_torque_comes_back_without_a_jump(robot):
    reach(robot, np.eye(4))
    assert call(robot, SetBool, "driver/enable_motors", data=False).success
    send(robot, pose_matrix(yaw=0.5))
    time.sleep(0.3)
    robot.heads.clear()
    limp = matrix_from_pose(robot.heads.wait().pose)
    assert call(robot, SetBool, "driver/enable_motors", data=True).success
    time.sleep(0.3)
    robot.heads.clear()
    assert angle_between(matrix_from_pose(robot.heads.wait().pose)[:3, 0], limp[:3, 0]) < math.radians(6.0)


def test_the_eye_sees_table_and_visitor_and_its_worker_lives_as_long_as_someone_looks(robot):
    reach(robot, np.eye(4))
    infos = robot.collect(CameraInfo, "camera/camera_info", qos.CAMERA)
    with camera(robot) as images:
        first = images.messages[-1]
        assert (first.width, first.height, first.encoding) == (320, 240, "rgb8")
        assert first.header.frame_id == "camera_optical"
        assert infos.wait().k[0] == pytest.approx(143.0, abs=0.1)
        empty = see(robot, images, lambda picture: True)
        red = (empty[..., 0] > 60) & (empty[..., 1] < empty[..., 0] * 0.55) & (empty[..., 2] < 40)
        assert red[140:180, 190:240].sum() > 60, "the apple, to the right and below"
        absent = skin(empty)
        assert call(robot, SetVisitor, "driver/set_visitor", present=True, distance=0.8).ok
        present = see(robot, images, lambda picture: skin(picture) > absent + 400)
        assert skin(present[:, 100:220]) > 400
        assert robot.truth.wait(lambda message: message.visitor_present).visitor.x == pytest.approx(0.8)
        answer = call(
            robot,
            SetVisitor,
            "driver/set_visitor",
            present=True,
            distance=0.8,
            from_azimuth=0.0,
            to_azimuth=0.5,
            speed=2.0,
        )
        assert answer.duration_s == pytest.approx(0.25)
        moved = see(robot, images, lambda picture: skin(picture[:, :100]) > 300)
        assert skin(moved[:, 160:]) < 100
        assert call(robot, SetVisitor, "driver/set_visitor", present=False).ok
        see(robot, images, lambda picture: skin(picture) < absent + 50)
        ages = [robot.node.get_clock().now().nanoseconds * 1e-9 - stamp(m) for m in images.messages[-1:]]
        assert max(ages) < 1.0
        assert model(robot, "camera") is not None
    wait_until(lambda: model(robot, "camera") is None, 10.0, "the camera's worker to go")
    assert model(robot, "simulator") is not None


def stamp(message):
    return message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec


def test_a_visit_that_cannot_be_is_refused(robot):
    answer = call(robot, SetVisitor, "driver/set_visitor", present=True, distance=0.1)
    assert not answer.ok
    assert "distance" in answer.message


def test_the_room_plays_a_line_to_the_microphone_in_real_time(robot, tmp_path, tone, write_wav):
    mic = robot.collect(AudioChunk, "audio/mic", qos.AUDIO)
    quiet = mic.wait()
    assert (quiet.sample_rate, quiet.channels, len(quiet.samples)) == (16_000, 1, 320)
    path = write_wav(tmp_path / "line.wav", tone(22_050, 0.4), 22_050)
    answer = call(robot, PlayRoomAudio, "driver/play_room_audio", path=str(path))
    assert answer.ok
    assert answer.duration_s == pytest.approx(0.4, abs=0.001)
    mic.clear()
    loud = mic.wait(lambda chunk: np.abs(np.array(chunk.samples)).max() > 10_000)
    mic.wait(lambda chunk: chunk.sequence > loud.sequence and np.abs(np.array(chunk.samples)).max() < 100)
    heard = [chunk for chunk in mic.messages if np.abs(np.array(chunk.samples)).max() > 10_000]
    assert 18 <= len(heard) <= 22
    assert stamp(heard[-1]) - stamp(heard[0]) == pytest.approx(0.02 * (len(heard) - 1), abs=0.005)
    answer = call(robot, PlayRoomAudio, "driver/play_room_audio", path=str(tmp_path / "gone.wav"))
    assert not answer.ok
    assert "there is no file" in answer.message


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_simulator_comes_back_where_it_was_when_its_worker_dies_or_hangs(robot, number):
    reach(robot, pose_matrix(yaw=0.4))
    pid = model(robot, "simulator").pid
    os.kill(pid, number)
    wait_until(lambda: any("simulator" in fault for fault in robot.node.faults()), 5.0, "the fault")
    wait_until(lambda: not robot.node.faults(), 20.0, "the recovery")
    robot.heads.clear()
    assert error_deg(robot.heads.wait(), pose_matrix(yaw=0.4)) < 1.5
    assert model(robot, "simulator").pid != pid
    reach(robot, np.eye(4))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_camera_comes_back_when_its_worker_dies_or_hangs(robot, number):
    with camera(robot) as images:
        wait_until(lambda: model(robot, "camera") is not None, 5.0, "the camera to be ready")
        os.kill(model(robot, "camera").pid, number)
        wait_until(lambda: any("camera" in fault for fault in robot.node.faults()), 10.0, "the fault")
        images.clear()
        images.wait(timeout_s=30.0)
        wait_until(lambda: not robot.node.faults(), 10.0, "the recovery")


def test_nothing_stays_in_memory_after_deactivation_and_the_pose_is_kept(robot):
    reach(robot, pose_matrix(yaw=0.4))
    pids = [info.pid for info in robot.process.models() if info.pid]
    assert pids
    assert robot.deactivate()
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert robot.activate()
    robot.heads.clear()
    assert error_deg(robot.heads.wait(timeout_s=30.0), pose_matrix(yaw=0.4)) < 2.0
