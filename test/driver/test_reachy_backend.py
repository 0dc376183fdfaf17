"""The backend for the real robot, with an SDK that notes what it is told."""

import importlib.metadata
import importlib.util
import queue
import types

import numpy as np
import pytest

from bbia_ros.driver import reachy_backend
from bbia_ros.driver.audio import RATE, TICK
from bbia_ros.driver.backend import BackendError, Target
from bbia_ros.driver.kinematics import Kinematics
from bbia_ros.driver.reachy_backend import ReachyBackend
from bbia_ros.driver.reachy_mini import SLEEP_HEAD
from bbia_ros.geometry import pose_matrix


class FakeMedia:
    def __init__(self):
        self.pushed = []
        self.picture = np.zeros((480, 640, 3), np.uint8)
        self.picture[..., 0] = 200  # blue in BGR

    def get_frame(self):
        return self.picture

    def start_recording(self):
        pass

    def start_playing(self):
        pass

    def get_input_audio_samplerate(self):
        return 32_000

    def get_output_audio_samplerate(self):
        return RATE

    def get_audio_sample(self):
        return np.full((640, 2), 0.25, np.float32)

    def push_audio_sample(self, samples):
        self.pushed.append(samples)


class FakeRobot:
    """As much of reachy_mini.ReachyMini as the backend uses."""

    def __init__(self, head):
        self.orders = queue.Queue()
        self.media = FakeMedia()
        self.media_manager = types.SimpleNamespace(close=lambda: self.orders.put(("media closed",)))
        self.client = types.SimpleNamespace(disconnect=lambda: self.orders.put(("disconnected",)))
        self.joints = Kinematics().inverse(head, 0.0).tolist()
        self.broken = False

    def get_current_joint_positions(self):
        if self.broken:
            raise ConnectionError("gone")
        return self.joints, [-0.2, 0.2]

    def set_target(self, head=None, antennas=None, body_yaw=None):
        assert head.shape == (4, 4)
        assert type(body_yaw) is float
        self.orders.put(("target", head, antennas, body_yaw))

    def enable_motors(self):
        self.orders.put(("on",))

    def disable_motors(self):
        self.orders.put(("off",))

    def goto_target(self, head=None, antennas=None, duration=0.5, body_yaw=0.0):
        self.orders.put(("goto", head, duration, body_yaw))


@pytest.fixture
def start(monkeypatch):
    backends = []

    def connect(head=None, **more):
        robot = FakeRobot(np.eye(4) if head is None else np.array(head))
        backend = ReachyBackend(connect_with=lambda host, media: robot, **more)
        backends.append(backend)
        backend.connect()
        return robot, backend

    yield connect
    for backend in backends:
        backend.disconnect()


def next_state(backend):
    first = backend.read_state()
    for _ in range(500):
        state = backend.read_state()
        if state is not None and state is not first:
            return state
        backend._end.wait(0.01)
    raise TimeoutError("the robot was not measured")


def test_it_measures_and_passes_targets_on_in_radians(start):
    robot, backend = start(pose_matrix(pitch=0.1))
    state = next_state(backend)
    assert np.allclose(state.head, pose_matrix(pitch=0.1), atol=1e-3)
    assert state.antennas == (-0.2, 0.2)
    backend.send_target(Target(pose_matrix(yaw=0.3), 0.1, (0.5, -0.5)))
    kind, head, antennas, body_yaw = robot.orders.get(timeout=5.0)
    assert kind == "target"
    assert np.array_equal(head, pose_matrix(yaw=0.3))
    assert (antennas, body_yaw) == ([0.5, -0.5], 0.1)


def test_switching_on_while_asleep_goes_to_neutral_slowly_first(start):
    robot, backend = start(SLEEP_HEAD)
    next_state(backend)
    backend.enable_motors(True)
    assert robot.orders.get(timeout=5.0) == ("on",)
    kind, head, duration, body_yaw = robot.orders.get(timeout=5.0)
    assert kind == "goto"
    assert np.array_equal(head, np.eye(4))
    assert duration >= 1.0
    assert body_yaw is None, "any number would recentre the body"


def test_switching_on_near_neutral_needs_no_detour(start):
    robot, backend = start()
    next_state(backend)
    backend.enable_motors(True)
    assert robot.orders.get(timeout=5.0) == ("on",)
    backend.enable_motors(False)
    assert robot.orders.get(timeout=5.0) == ("off",)


def test_hold_sends_the_measured_pose(start):
    robot, backend = start(pose_matrix(yaw=0.2))
    next_state(backend)
    backend.hold()
    _, head, _, _ = robot.orders.get(timeout=5.0)
    assert np.allclose(head, pose_matrix(yaw=0.2), atol=1e-3)


def test_a_lost_connection_is_reported_and_made_again(start, monkeypatch):
    monkeypatch.setattr(reachy_backend, "PERIOD_S", 0.001)
    monkeypatch.setattr(reachy_backend, "RETRY_S", 0.01)
    robot, backend = start()
    next_state(backend)
    robot.broken = True
    assert robot.orders.get(timeout=5.0) == ("media closed",)
    assert "connection to the robot is lost" in backend.supervise()
    assert robot.orders.get(timeout=5.0) == ("disconnected",)
    robot.broken = False
    next_state(backend)
    assert backend.supervise() == ""


def test_no_robot_is_one_sentence(monkeypatch):
    monkeypatch.setattr(reachy_backend, "RETRY_S", 0.01)
    tried = queue.Queue()

    def refuse(host, media):
        tried.put(host)
        raise ConnectionError("connection refused")

    backend = ReachyBackend(host="elsewhere", connect_with=refuse)
    backend.connect()
    try:
        assert tried.get(timeout=5.0) == "elsewhere"
        tried.get(timeout=5.0)
        assert "connection refused" in backend.supervise()
        assert "reachy-mini-daemon" in backend.supervise()
    finally:
        backend.disconnect()


def test_pictures_turn_from_bgr_to_rgb_and_shrink(start):
    _, backend = start(width=320, height=240)
    next_state(backend)
    backend.camera.start()
    frame = backend.camera.wait(1.0)
    assert frame.pixels.shape == (240, 320, 3)
    assert frame.pixels[0, 0].tolist() == [0, 0, 200]
    backend.camera.stop()
    assert backend.camera.wait(0.05) is None


def test_sound_is_mono_at_16_khz_both_ways(start):
    robot, backend = start()
    next_state(backend)
    for _ in range(5):
        heard = backend.microphone.read()
    assert len(heard) == TICK
    assert heard.mean() == pytest.approx(0.25, abs=0.01)
    backend.loudspeaker.play(np.full(TICK, 0.5, np.float32))
    assert robot.media.pushed[0].shape == (TICK,)


def test_a_missing_sdk_is_one_sentence_with_the_command(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match="pip install reachy-mini"):
        ReachyBackend()


def test_an_old_sdk_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.0.3")
    with pytest.raises(BackendError, match=r"1\.0\.3 is too old"):
        ReachyBackend()
