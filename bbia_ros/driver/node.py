"""The driver node: the robot's topics and services, whichever backend is underneath."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from bbia_ros.driver import messages
from bbia_ros.driver.audio import AudioError, Samples
from bbia_ros.driver.backend import Backend, BackendError, Frame
from bbia_ros.driver.camera_feed import CameraFeed
from bbia_ros.driver.command import CommandGate, TargetRefused
from bbia_ros.driver.kinematics import Kinematics, KinematicsError
from bbia_ros.driver.loudspeaker import Playback
from bbia_ros.driver.mock_backend import MockBackend
from bbia_ros.driver.mujoco_backend import MujocoBackend, Simulation
from bbia_ros.driver.parameters import DriverParameters
from bbia_ros.driver.reachy_backend import ReachyBackend
from bbia_ros.driver.reachy_mini import CAMERA_FOVY, focal_length
from bbia_ros.driver.sim.bindings import SimulatorUnavailable
from bbia_ros.driver.sim.requirements import check_simulator
from bbia_ros.driver.sim.visitor import EYE_HEIGHT, Arc, VisitorError
from bbia_ros.driver.sound import Sound
from bbia_ros.msg import AudioChunk, AudioPlayback, RobotTarget, SimulationState
from bbia_ros.ros import qos
from bbia_ros.ros.context import ProcessContext
from bbia_ros.ros.images import from_rgb
from bbia_ros.ros.lifecycle import BbiaNode, ConfigurationError
from bbia_ros.ros.process import run_alone
from bbia_ros.srv import PlayRoomAudio, SetVisitor

STATE_S = 0.02
"""Period of joint_states and head_pose [s]."""
SIMULATION_S = 0.05
"""Period of driver/simulation_state [s]."""
SUPERVISE_S = 0.1
"""Period of the backend's supervision, and of looking for the camera's subscribers [s]."""


class DriverNode(BbiaNode[DriverParameters]):
    """Turns messages into calls of a backend and its measurements into messages."""

    parameters_type = DriverParameters

    def __init__(self, context: ProcessContext) -> None:
        super().__init__("driver", context)
        self._simulation: Simulation | None = None
        self._backend: Backend | None = None
        self._gate: CommandGate | None = None
        self._feed: CameraFeed | None = None
        self._sound: Sound | None = None
        self._published_ns = 0
        self._simulated_ns = 0
        self._sequence = 0

    # Lifecycle ---------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        """Checks what the backend needs; nothing is started."""
        try:
            self._gate = CommandGate(Kinematics())
            self._backend = self._make_backend()
        except (BackendError, SimulatorUnavailable, KinematicsError) as error:
            raise ConfigurationError(str(error)) from error
        self._joints = self.make_publisher(JointState, "joint_states", qos.SENSOR)
        self._head = self.make_publisher(PoseStamped, "head_pose", qos.SENSOR)
        self._image = self.make_publisher(Image, "camera/image_raw", qos.CAMERA)
        self._info = self.make_publisher(CameraInfo, "camera/camera_info", qos.CAMERA)
        self._mic = self.make_publisher(AudioChunk, "audio/mic", qos.AUDIO)
        self._playback = self.make_publisher(AudioPlayback, "audio/playback", qos.EVENT)
        self.make_service(SetBool, "driver/enable_motors", self._on_enable_motors)
        self.make_service(Trigger, "driver/stop", self._on_stop)
        self.make_service(Trigger, "driver/clear_stop", self._on_clear_stop)
        if isinstance(self._backend, MujocoBackend):
            self._truth = self.make_publisher(SimulationState, "driver/simulation_state", qos.SENSOR)
            self.make_service(SetVisitor, "driver/set_visitor", self._on_set_visitor)
            self.make_service(PlayRoomAudio, "driver/play_room_audio", self._on_play_room_audio)

    def _make_backend(self) -> Backend:
        params, camera = self.params, self.params.camera
        if params.backend == "mock":
            return MockBackend()
        if params.backend == "reachy":
            return ReachyBackend(params.host, params.media, camera.width, camera.height)
        check_simulator(params.scene)
        self._simulation = Simulation(params.scene, camera.width, camera.height, camera.rate_hz)
        return MujocoBackend(self._simulation, self.lease)

    def activate(self) -> None:
        """Connects the backend and starts sound and camera."""
        backend, audio = self._backend, self.params.audio
        assert backend is not None
        try:
            sound = Sound(
                backend.microphone,
                backend.loudspeaker,
                heard=self._heard,
                played=self._played,
                failed=self._sound_failed,
                speaker_recording=audio.speaker_recording,
                microphone_recording=audio.microphone_recording,
            )
        except AudioError as error:
            raise ConfigurationError(str(error)) from error
        self._sound, self._sequence = sound, 0
        backend.connect()
        self.make_subscription(RobotTarget, "motion/target", self._on_target, qos.COMMAND)
        self.make_subscription(AudioChunk, "audio/speaker", self._on_speaker, qos.AUDIO)
        self.make_timer(STATE_S, self._publish_state)
        self.make_timer(SUPERVISE_S, self._supervise)
        if isinstance(backend, MujocoBackend):
            self.make_timer(SIMULATION_S, self._publish_truth)
        sound.start()
        if backend.camera is not None:
            self._feed = CameraFeed(backend.camera, self._publish_frame, self._camera_fault)
            self._feed.start()

    def deactivate(self) -> None:
        """Stops camera and sound and gives the robot back."""
        if self._feed is not None:
            self._feed.stop()
            self._feed = None
        if self._sound is not None:
            self._sound.stop()
            self._sound = None
        if self._backend is not None:
            self._backend.disconnect()

    def cleanup(self) -> None:
        """Forgets the robot; a simulated one starts asleep the next time."""
        self._backend = self._gate = None
        if self._simulation is not None:
            self._simulation.close()
            self._simulation = None

    # The body ----------------------------------------------------------------------------------------------------

    def _on_target(self, message: RobotTarget) -> None:
        if self._gate is None or self._backend is None:
            return
        try:
            target = messages.target_from(message)
        except TargetRefused as error:
            self._gate.counts.refused += 1
            self.complain("target", f"motion/target is refused: {error}")
            return
        try:
            admitted = self._gate.admit(target)
        except TargetRefused as error:
            self.complain("target", f"motion/target is refused: {error}")
            return
        if admitted is not None:
            self.figures.tick("targets")
            self._backend.send_target(admitted)

    def _publish_state(self) -> None:
        state = self._backend.read_state() if self._backend is not None else None
        if state is None or state.stamp_ns == self._published_ns:
            return
        self._published_ns = state.stamp_ns
        stamp = self._ros_time(state.stamp_ns)
        self._joints.publish(messages.joint_state(state, stamp))
        self._head.publish(messages.head_pose(state, stamp))
        self.figures.tick("joint states")

    def _supervise(self) -> None:
        if self._backend is None or self._gate is None:
            return
        self._fault("robot", self._backend.supervise())
        if self._feed is not None:
            self._feed.want(self._image.subscribers > 0)
        counts = self._gate.counts
        self.figures.value("targets clamped", counts.clamped)
        self.figures.value("targets refused", counts.refused)
        self.figures.value("targets held back", counts.held_back)
        self.figures.value("stopped", self._gate.stopped)

    def _on_enable_motors(self, request: Any, response: Any) -> Any:
        if not self.active or self._backend is None or self._gate is None:
            return _answer(response, False, "the driver is not active")
        self._backend.enable_motors(request.data)
        self._gate.motors = bool(request.data)
        return _answer(response, True, "the motors hold the present pose" if request.data else "the motors are off")

    def _on_stop(self, request: Any, response: Any) -> Any:
        if self._gate is None or self._backend is None:
            return _answer(response, False, "the driver is not configured")
        self._gate.stop()
        if self.active:
            self._backend.hold()
        return _answer(response, True, "stopped; driver/clear_stop ends it")

    def _on_clear_stop(self, request: Any, response: Any) -> Any:
        if self._gate is None:
            return _answer(response, False, "the driver is not configured")
        was = self._gate.stopped
        self._gate.clear()
        return _answer(response, True, "the stop is over" if was else "there was no stop")

    # Eyes --------------------------------------------------------------------------------------------------------

    def _publish_frame(self, frame: Frame) -> None:
        header = Header(stamp=self._ros_time(frame.stamp_ns), frame_id="camera_optical")
        height, width = frame.pixels.shape[:2]
        simulated = self.params.backend == "mujoco"
        fovy = CAMERA_FOVY if simulated else math.radians(self.params.camera.fovy_deg)
        self._image.publish(from_rgb(frame.pixels, header))
        self._info.publish(messages.camera_info(width, height, focal_length(height, fovy), header))
        self.figures.tick("camera")
        self.figures.duration("camera age", (time.monotonic_ns() - frame.stamp_ns) * 1e-9)

    def _camera_fault(self, sentence: str) -> None:
        self._fault("camera", sentence)

    # Ears and voice ----------------------------------------------------------------------------------------------

    def _on_speaker(self, message: AudioChunk) -> None:
        if self._sound is None:
            return
        try:
            warning = self._sound.say(messages.chunk_from(message))
        except AudioError as error:
            self.complain("audio", f"audio/speaker: {error}")
            return
        if warning:
            self.complain("clipped audio", f"audio/speaker: {warning}")

    def _heard(self, samples: Samples, stamp_ns: int) -> None:
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        self._mic.publish(messages.microphone_chunk(samples, self._sequence, self._ros_time(stamp_ns)))

    def _played(self, report: Playback) -> None:
        self._playback.publish(messages.playback(report, self.now()))

    def _sound_failed(self, error: Exception) -> None:
        self.report_fault("sound", f"sound stopped: {error}")

    # The simulator -----------------------------------------------------------------------------------------------

    def _publish_truth(self) -> None:
        backend = self._backend
        if not isinstance(backend, MujocoBackend) or not self._truth.subscribers:
            return
        state = backend.ground_truth()
        if state is None or state["stamp_ns"] == self._simulated_ns:
            return
        self._simulated_ns = int(state["stamp_ns"])
        self._truth.publish(messages.simulation_state(state, self._ros_time(self._simulated_ns)))

    def _on_set_visitor(self, request: Any, response: Any) -> Any:
        backend = self._backend
        if not self.active or not isinstance(backend, MujocoBackend):
            return _answer(response, False, "the driver is not active")
        if not request.present:
            backend.set_visitor(None)
            return _answer(response, True, "the visitor is gone")
        height = request.height if request.height != 0.0 else EYE_HEIGHT
        try:
            arc = Arc(request.from_azimuth, request.to_azimuth, request.speed, request.distance, height)
        except VisitorError as error:
            return _answer(response, False, str(error))
        backend.set_visitor(arc)
        response.duration_s = arc.duration
        return _answer(response, True, "the visitor is there")

    def _on_play_room_audio(self, request: Any, response: Any) -> Any:
        backend = self._backend
        if not self.active or not isinstance(backend, MujocoBackend):
            return _answer(response, False, "the driver is not active")
        try:
            response.duration_s = backend.microphone.play(request.path, request.gain or 1.0)
        except AudioError as error:
            return _answer(response, False, str(error))
        return _answer(response, True, f"{request.path} plays")

    # Common ------------------------------------------------------------------------------------------------------

    def _fault(self, key: str, sentence: str) -> None:
        if sentence:
            self.report_fault(key, sentence)
        else:
            self.clear_fault(key)

    def _ros_time(self, steady_ns: int) -> Time:
        """ROS time of an instant of the steady clock."""
        now = self.get_clock().now().nanoseconds
        seconds, nanoseconds = divmod(max(0, now - (time.monotonic_ns() - steady_ns)), 1_000_000_000)
        return Time(sec=seconds, nanosec=nanoseconds)


def _answer(response: Any, ok: bool, message: str) -> Any:
    setattr(response, "success" if hasattr(response, "success") else "ok", ok)
    response.message = message
    return response


def main() -> int:
    """Runs the driver alone."""
    return run_alone("driver", DriverNode)


if __name__ == "__main__":
    sys.exit(main())
