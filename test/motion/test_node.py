"""The motion node on a real graph, with a driver that is a few lines: it follows what it is sent."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from rclpy.action import ActionClient
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from bbia_ros.action import Goto, LookAt, PlayMove
from bbia_ros.driver.reachy_mini import ANTENNA_NAMES, HEAD_TO_CAMERA, JOINT_NAMES
from bbia_ros.geometry import fill_pose, inverse_pose, matrix_from_pose
from bbia_ros.motion.node import MotionNode
from bbia_ros.motion.pose import NEUTRAL, SLEEP, head_matrix
from bbia_ros.msg import Detection, DetectionArray, Emotion, FaceArray, MotionState, RobotTarget
from bbia_ros.ros import qos
from bbia_ros.ros.testing import Inbox, NodeRunner

pytestmark = pytest.mark.heavy
APPLE = np.array([0.33, 0.12, -0.19])


class Driver:
    """Obeys motion/target at once, unless stopped, and tells where the body is at 50 Hz."""

    def __init__(self, runner: NodeRunner, start: np.ndarray) -> None:
        self.runner, self.stopped, self.targets = runner, False, Inbox()
        self.head, self.body, self.antennas = head_matrix(start), float(start[6]), (float(start[7]), float(start[8]))
        probe = runner.probe
        self.joints = probe.create_publisher(JointState, "joint_states", qos.SENSOR)
        self.pose = probe.create_publisher(PoseStamped, "head_pose", qos.SENSOR)
        self.objects = probe.create_publisher(DetectionArray, "perception/objects", qos.EVENT)
        self.faces = probe.create_publisher(FaceArray, "perception/faces", qos.EVENT)
        self.emotion = probe.create_publisher(Emotion, "emotion/robot", qos.STATE)
        probe.create_subscription(RobotTarget, "motion/target", self._obey, qos.COMMAND)
        probe.create_timer(0.02, self._tell)
        self.sees_apple = False
        probe.create_timer(0.1, self._look)

    def _obey(self, message: RobotTarget) -> None:
        self.targets.put(message)
        if not self.stopped:
            self.head = matrix_from_pose(message.head)
            self.body, self.antennas = message.body_yaw, tuple(message.antennas)

    def _tell(self) -> None:
        now = self.runner.probe.get_clock().now().to_msg()
        joints = JointState(name=[JOINT_NAMES[0], *ANTENNA_NAMES], position=[self.body, *self.antennas])
        joints.header.stamp = now
        pose = PoseStamped()
        pose.header.stamp, pose.header.frame_id = now, "head_neutral"
        fill_pose(pose.pose, self.head)
        self.joints.publish(joints)
        self.pose.publish(pose)

    def _look(self) -> None:
        message = DetectionArray()
        message.header.stamp = self.runner.probe.get_clock().now().to_msg()
        if self.sees_apple:
            seen = (inverse_pose(self.head @ HEAD_TO_CAMERA) @ np.append(APPLE, 1.0))[:3]
            x, y, z = HEAD_TO_CAMERA[:3, :3] @ (seen / np.linalg.norm(seen))
            apple = Detection(label="Apple", score=0.9, track_id=3, distance=math.nan)
            apple.bearing.x, apple.bearing.y, apple.bearing.z = float(x), float(y), float(z)
            message.detections.append(apple)
        self.objects.publish(message)

    def pitch(self) -> float:
        return -math.asin(float(self.head[2, 0]))


class Stand:
    """A motion node, its driver, and clients."""

    def __init__(self, runner: NodeRunner, start: np.ndarray) -> None:
        self.runner, self.driver = runner, Driver(runner, start)
        self.states = runner.collect(MotionState, "motion/state", qos.STATE)
        self.clients: dict[str, ActionClient] = {}
        assert runner.configure()
        assert runner.activate()

    def until(self, state: str, timeout_s: float = 10.0, **fields: Any) -> MotionState:
        def fits(message: MotionState) -> bool:
            return message.state == state and all(getattr(message, k) == v for k, v in fields.items())

        return self.states.wait(fits, timeout_s)

    def act(self, kind: Any, name: str, goal: Any, *, cancel: bool = False, timeout_s: float = 15.0) -> Any:
        # Not destroyed here: the probe's own thread may be about to wait for it.
        if name not in self.clients:
            self.clients[name] = ActionClient(self.runner.probe, kind, name)
        client = self.clients[name]
        assert client.wait_for_server(5.0)
        done, box = threading.Event(), list[Any]()

        def on_result(future: Any) -> None:
            box.append(future.result().result)
            done.set()

        def on_goal(future: Any) -> None:
            handle = future.result()
            handle.get_result_async().add_done_callback(on_result)
            if cancel:
                handle.cancel_goal_async()

        client.send_goal_async(goal).add_done_callback(on_goal)
        assert done.wait(timeout_s), f"{name} did not end"
        return box[0]


@pytest.fixture
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    start = getattr(request, "param", NEUTRAL)
    parameters = {"idle": {"breathing": False, "glances": False}, "goto_hold_s": 0.2}
    with NodeRunner(MotionNode, parameters=_flat(parameters)) as runner:
        yield Stand(runner, start)


def _flat(parameters: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in parameters.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


@pytest.mark.parametrize("stand", [SLEEP], indirect=True)
def test_it_wakes_up_from_the_measured_pose_rests_and_goes_to_sleep(stand: Stand) -> None:
    stand.until("moving", move="wake_up")
    first = stand.driver.targets.wait()
    assert np.abs(matrix_from_pose(first.head) - head_matrix(SLEEP)).max() < 0.02
    stand.until("rest")
    assert np.abs(stand.driver.head - np.eye(4)).max() < 1e-3
    stand.driver.targets.clear()
    result = stand.runner.on_executor(lambda: stand.runner.node.set_parameters([Parameter("posture", value="asleep")]))
    assert result[0].successful
    stand.until("moving", move="goto_sleep")
    stand.states.clear()
    rest = stand.until("rest")
    assert rest.loop_p50_s == 0.0
    assert np.abs(stand.driver.head - head_matrix(SLEEP)).max() < 2e-3
    answer = stand.act(PlayMove, "motion/play_move", PlayMove.Goal(name="nod"))
    assert not answer.ok
    assert "sleeps" in answer.message


def test_moves_play_and_bad_goals_are_refused_with_a_sentence(stand: Stand) -> None:
    stand.until("rest")
    result = stand.act(PlayMove, "motion/play_move", PlayMove.Goal(name="nod"))
    assert result.ok, result.message
    assert len(stand.driver.targets.messages) > 90
    for goal, word in (
        (PlayMove.Goal(name="fly"), "no move 'fly'"),
        (PlayMove.Goal(name="nod", amplitude=9.0), "amplitude"),
    ):
        answer = stand.act(PlayMove, "motion/play_move", goal)
        assert not answer.ok
        assert word in answer.message
    target = RobotTarget(body_yaw=math.nan)
    target.head.orientation.w = 1.0
    answer = stand.act(Goto, "motion/goto", Goto.Goal(target=target, duration_s=1.0))
    assert not answer.ok
    assert "finite" in answer.message
    answer = stand.act(LookAt, "motion/look_at", LookAt.Goal(target="unicorn"))
    assert not answer.ok
    assert "I see no unicorn" in answer.message


def test_goto_arrives_and_a_cancel_ends_a_move(stand: Stand) -> None:
    stand.until("rest")
    target = RobotTarget(body_yaw=0.3, antennas=[0.5, -0.5])
    wanted = NEUTRAL.copy()
    wanted[4], wanted[5], wanted[6] = 0.2, 0.4, 0.3
    fill_pose(target.head, head_matrix(wanted))
    result = stand.act(Goto, "motion/goto", Goto.Goal(target=target, duration_s=0.8, interpolation="ease_in_out"))
    assert result.ok, result.message
    last = stand.driver.targets.messages[-1]
    assert np.abs(matrix_from_pose(last.head) - head_matrix(wanted)).max() < 0.02
    result = stand.act(PlayMove, "motion/play_move", PlayMove.Goal(name="pendulum_swing", repeats=20), cancel=True)
    assert not result.ok
    assert result.message == "cancelled"


def test_stop_ends_the_move_and_returns_to_neutral(stand: Stand) -> None:
    stand.until("rest")
    box: list[Any] = []
    thread = threading.Thread(
        target=lambda: box.append(stand.act(PlayMove, "motion/play_move", PlayMove.Goal(name="bow", repeats=9)))
    )
    thread.start()
    stand.until("moving", move="bow")
    assert stand.runner.call(Trigger, "motion/stop", Trigger.Request()).success
    thread.join(10.0)
    assert not box[0].ok
    assert "stop" in box[0].message
    stand.states.clear()
    stand.until("rest")
    assert np.abs(stand.driver.head - np.eye(4)).max() < 1e-3


def test_it_looks_at_an_apple_in_closed_loop(stand: Stand) -> None:
    stand.driver.sees_apple = True
    stand.until("rest")
    seen = stand.runner.collect(DetectionArray, "perception/objects", qos.EVENT)
    seen.wait(lambda message: len(message.detections) > 0)
    result = stand.act(LookAt, "motion/look_at", LookAt.Goal(target="apple", hold_s=1.0))
    assert result.ok, result.message
    assert result.error_rad < math.radians(1.0)
    stand.driver.sees_apple = False
    seen.clear()
    seen.wait(lambda message: not message.detections)
    result = stand.act(LookAt, "motion/look_at", LookAt.Goal(target="apple", hold_s=0.5))
    assert result.ok, "it is looked for where it was"


def test_happy_holds_the_nose_up(stand: Stand) -> None:
    stand.until("rest")
    stand.driver.emotion.publish(Emotion(label="proud", intensity=1.0))
    stand.states.clear()
    stand.until("rest", posture="proud")
    assert stand.driver.pitch() < -math.radians(10.0)
    stand.driver.emotion.publish(Emotion(label="bored", intensity=1.0))
    stand.driver.emotion.publish(Emotion(label="sad", intensity=1.0))
    stand.until("rest", posture="sad")
    assert stand.driver.pitch() > math.radians(10.0)


def test_a_body_that_does_not_follow_is_noticed_and_resumed_from_where_it_is(stand: Stand) -> None:
    stand.until("rest")
    stand.driver.stopped = True
    result = stand.act(PlayMove, "motion/play_move", PlayMove.Goal(name="bow", repeats=5))
    assert not result.ok
    assert "does not follow" in result.message
    stand.until("stopped")
    stand.driver.targets.clear()
    stand.driver.targets.wait()
    held = stand.driver.head
    sent = matrix_from_pose(stand.driver.targets.messages[-1].head)
    assert np.abs(sent - held).max() < 0.08, "targets stay near where it is held"
    stand.states.clear()
    stand.driver.stopped = False
    stand.until("rest")
    assert np.abs(stand.driver.head - np.eye(4)).max() < 1e-3


def test_activation_and_deactivation_leave_no_thread(stand: Stand) -> None:
    for _ in range(3):
        stand.until("rest")
        assert stand.runner.deactivate()
        assert not [t for t in threading.enumerate() if t.name == "motion.loop"]
        stand.states.clear()
        assert stand.runner.activate()
