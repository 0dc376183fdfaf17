"""The driver node with the stand-in robot: topics, services and bad input on a real graph."""

import math

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger

from bbia_ros.driver.node import DriverNode
from bbia_ros.geometry import fill_pose, matrix_from_pose, pose_matrix
from bbia_ros.msg import AudioChunk, AudioPlayback, RobotTarget
from bbia_ros.ros import qos
from bbia_ros.ros.testing import NodeRunner, wait_until

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def robot():
    with NodeRunner(DriverNode, parameters={"backend": "mock"}) as runner:
        assert runner.configure()
        assert runner.activate()
        runner.heads = runner.collect(PoseStamped, "head_pose", qos.SENSOR)
        runner.targets = runner.publisher(RobotTarget, "motion/target", qos.COMMAND)
        runner.speaker = runner.publisher(AudioChunk, "audio/speaker", qos.AUDIO)
        runner.heads.wait()
        yield runner


def target(head, body_yaw=0.0, antennas=(0.0, 0.0)):
    message = RobotTarget(body_yaw=body_yaw, antennas=antennas)
    fill_pose(message.head, head)
    return message


def near(head):
    return lambda message: np.abs(matrix_from_pose(message.pose) - head).max() < 0.01


def settle(robot, head):
    robot.heads.clear()
    robot.targets.publish(target(head))
    return robot.heads.wait(near(head))


def figure(robot, key):
    return robot.node.figures.summary().get(key)


def test_targets_are_followed_and_measured(robot):
    message = settle(robot, pose_matrix(yaw=0.3))
    assert message.header.frame_id == "head_neutral"
    joints = robot.collect(JointState, "joint_states", qos.SENSOR).wait()
    assert joints.name[-2:] == ["right_antenna", "left_antenna"]


def test_bad_targets_are_refused_and_nothing_moves(robot):
    settle(robot, np.eye(4))
    bad = [target(pose_matrix(yaw=0.5), antennas=(math.nan, 0.0)), target(pose_matrix(yaw=0.5)), target(np.eye(4))]
    bad[1].header.frame_id = "world"
    bad[2].head.orientation.w = 0.0
    for number, message in enumerate(bad, 1):
        robot.targets.publish(message)
        wait_until(lambda count=str(number): figure(robot, "refused target") == count, 5.0, "the refusal")
    robot.heads.clear()
    assert near(np.eye(4))(robot.heads.wait())


def test_a_target_outside_the_envelope_is_clamped_and_counted(robot):
    robot.targets.publish(target(pose_matrix(pitch=1.4), body_yaw=0.0))
    wait_until(lambda: figure(robot, "targets clamped") == "1", 5.0, "the clamp")


def test_stop_and_torque_hold_targets_back(robot):
    settle(robot, np.eye(4))
    for switch, back in (
        (lambda: robot.call(Trigger, "driver/stop", Trigger.Request()), ("driver/clear_stop", Trigger)),
        (lambda: robot.call(SetBool, "driver/enable_motors", SetBool.Request(data=False)), None),
    ):
        assert switch().success
        before = int(figure(robot, "targets held back") or 0)
        robot.targets.publish(target(pose_matrix(yaw=0.5)))
        wait_until(lambda b=before: int(figure(robot, "targets held back")) > b, 5.0, "the target to be held back")
        robot.heads.clear()
        assert near(np.eye(4))(robot.heads.wait())
        if back is not None:
            assert robot.call(back[1], back[0], back[1].Request()).success
    assert robot.call(SetBool, "driver/enable_motors", SetBool.Request(data=True)).success
    settle(robot, pose_matrix(yaw=0.2))


def test_speech_is_played_in_real_time_and_a_flush_ends_it(robot):
    playback = robot.collect(AudioPlayback, "audio/playback", qos.EVENT)
    wait_until(lambda: robot.node._playback.subscribers > 0, 5.0, "the probe's subscription")
    silence = [0] * 480
    for number in range(30):
        robot.speaker.publish(
            AudioChunk(utterance_id="long", sample_rate=24_000, channels=1, samples=silence, sequence=number)
        )
    assert playback.wait(lambda message: message.position_s > 0.05).utterance_id == "long"
    robot.speaker.publish(AudioChunk(flush=True))
    end = playback.wait(lambda message: message.done)
    assert end.flushed
    assert end.position_s < 0.6


def test_a_bad_chunk_is_refused_with_a_message(robot):
    robot.speaker.publish(AudioChunk(utterance_id="x", sample_rate=44_100, channels=1, samples=[0] * 10))
    wait_until(lambda: figure(robot, "refused audio") == "1", 5.0, "the refusal")
    robot.speaker.publish(
        AudioChunk(utterance_id="x", sample_rate=16_000, channels=1, samples=[32767] * 320, last=True)
    )
    wait_until(lambda: figure(robot, "refused clipped audio") == "1", 5.0, "the warning")


def test_transitions_in_any_order_leave_no_thread(robot):
    import threading

    assert robot.deactivate()
    names = {thread.name for thread in threading.enumerate()}
    assert not names & {"audio-clock", "camera-feed", "physics"}
    assert not robot.call(SetBool, "driver/enable_motors", SetBool.Request(data=True)).success
    assert robot.cleanup()
    assert robot.configure()
    assert robot.activate()
    robot.heads.clear()
    robot.heads.wait()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"scene": "moon"}, "there is no scene 'moon'"),
        ({"backend": "toaster"}, "backend"),
        ({"camera.width": 9}, "camera.width"),
    ],
)
def test_a_wrong_parameter_fails_configure_with_one_sentence(parameters, words):
    with NodeRunner(DriverNode, parameters=parameters) as runner:
        assert not runner.configure()
        (fault,) = runner.node.faults()
        assert words in fault


def test_a_recording_that_cannot_be_written_fails_activation(tmp_path):
    (tmp_path / "file").write_text("")
    parameters = {"backend": "mock", "audio.speaker_recording": str(tmp_path / "file" / "r.wav")}
    with NodeRunner(DriverNode, parameters=parameters) as runner:
        assert runner.configure()
        assert not runner.activate()
        assert "cannot be written" in runner.node.faults()[0]
