"""The real robot, or any other that the Reachy Mini daemon drives, through the `reachy-mini` SDK.

The SDK is imported in a thread of its own when the driver is activated: that takes seconds, and so does connecting.
The same thread is the only one that writes to the robot, at a fixed rate (a flood of targets makes it jerky).
"""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bbia_ros.driver import reachy_mini as robot
from bbia_ros.driver.audio import RATE, TICK, Resampler, Samples
from bbia_ros.driver.backend import BackendError, Frame, RobotState, Target
from bbia_ros.driver.kinematics import Kinematics, KinematicsError
from bbia_ros.geometry import angle_between

INSTALL = "pip install reachy-mini (it needs libcairo2-dev and libgirepository1.0-dev)"
OLDEST = (1, 2)
"""First version of the SDK whose `enable_motors` pins the targets to the present pose."""
PERIOD_S = 0.02
"""The robot's own loop runs at 50 Hz [s]."""
RETRY_S = 3.0
"""Time between two attempts to connect [s]."""
WAKE_S = 2.0
"""Time of the slow way to neutral when the motors are switched on in the sleep pose [s]."""
NEAR_RAD = 0.35
"""Farther from neutral than this, the robot does not stream targets before it has been there slowly [rad]."""
NEAR_M = 0.03
"""The same for its height [m]."""
FAILURES_MAX = 25
"""So many failed turns in a row (half a second) mean that the connection is lost."""


def check_installed() -> None:
    """Makes sure that the SDK is there, without importing it.

    Raises:
        BackendError: it is missing or too old.
    """
    from importlib import metadata  # 2 MB, which only this backend needs

    if importlib.util.find_spec("reachy_mini") is None:
        raise BackendError(f"the backend reachy needs the SDK of the robot: {INSTALL}")
    try:
        version = metadata.version("reachy-mini")
    except metadata.PackageNotFoundError:
        raise BackendError(f"reachy_mini is there, but not as an installed package: {INSTALL}") from None
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise BackendError(f"reachy-mini {version} is too old, {wanted} or newer is wanted: pip install -U reachy-mini")


def connect_sdk(host: str, media: bool) -> Any:
    """Returns a connected `reachy_mini.ReachyMini`. Blocks for seconds.

    Args:
        host: Name of the machine with the daemon; empty: this one, then the robot's usual name.
        media: With camera and sound.
    """
    from reachy_mini import ReachyMini

    return ReachyMini(
        **({"host": host, "connection_mode": "network"} if host else {}),
        automatic_body_yaw=False,  # the body's yaw is commanded, never guessed
        media_backend="default" if media else "no_media",
    )


class ReachyBackend:
    """A robot behind the daemon (`backend.Backend`).

    Args:
        host: See `connect_sdk`.
        media: With camera and sound.
        width: Pictures' width after scaling down [pixels].
        height: Their height.
        connect_with: Makes the SDK's object; tests bring their own.

    Raises:
        BackendError: the SDK is missing or too old.
    """

    name = "reachy"

    def __init__(
        self,
        host: str = "",
        media: bool = True,
        width: int = 640,
        height: int = 480,
        connect_with: Callable[[str, bool], Any] = connect_sdk,
    ) -> None:
        if connect_with is connect_sdk:
            check_installed()
        self._host, self._media, self._connect_with = host, media, connect_with
        self.camera = ReachyCamera(self, width, height) if media else None
        self.microphone = ReachyMicrophone(self) if media else None
        self.loudspeaker = ReachyLoudspeaker(self) if media else None
        self._kinematics = Kinematics()
        self._lock = threading.Lock()
        self._target: Target | None = None
        self._orders: list[str] = []
        self._state: RobotState | None = None
        self._fault = ""
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._waking = False
        self.sdk: Any = None

    def connect(self) -> None:
        """Starts to connect, in the background."""
        self._end.clear()
        self._thread = threading.Thread(target=self._run, name="reachy", daemon=True)
        self._thread.start()

    def disconnect(self) -> None:
        """Leaves the robot as it is and closes the connection."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(2.0)
            self._thread = None
        self._state = None

    def send_target(self, target: Target) -> None:
        """Notes the target; the thread sends it at its next turn."""
        with self._lock:
            self._target = target

    def hold(self) -> None:
        """Sends the measured pose as the target."""
        with self._lock:
            state = self._state
            self._target = None if state is None else Target(state.head, float(state.joints[0]), state.antennas)

    def enable_motors(self, on: bool) -> None:
        """Lets the thread switch torque; on the way up the robot first goes to neutral, slowly."""
        with self._lock:
            self._target = None
            self._orders = ["on" if on else "off"]

    def read_state(self) -> RobotState | None:
        """Returns the last measurement."""
        return self._state

    def supervise(self) -> str:
        """The thread connects again by itself."""
        return self._fault

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                self.sdk = self._connect_with(self._host, self._media)
            except Exception as error:  # the SDK raises whatever its libraries raise
                self._fault = f"no connection to the robot ({error}); is reachy-mini-daemon running?"
                self._end.wait(RETRY_S)
                continue
            try:
                self._loop()
            finally:
                sdk, self.sdk = self.sdk, None
                _close(sdk)
            self._end.wait(RETRY_S)

    def _loop(self) -> None:
        failures = 0
        deadline = time.monotonic()
        while not self._end.wait(max(0.0, deadline - time.monotonic())):
            deadline = max(deadline + PERIOD_S, time.monotonic())
            try:
                self._turn()
            except Exception as error:  # the SDK raises whatever its libraries raise
                failures += 1
                if failures >= FAILURES_MAX:
                    self._fault = f"the connection to the robot is lost ({error})"
                    return
            else:
                failures = 0
                self._fault = ""

    def _turn(self) -> None:
        self._measure()
        with self._lock:
            target, self._target = self._target, None
            orders, self._orders = self._orders, []
        for order in orders:
            if order == "off":
                self.sdk.disable_motors()
            else:
                self._switch_on()
                target = None  # older than the way to neutral
        if target is not None:
            self.sdk.set_target(head=target.head, antennas=list(target.antennas), body_yaw=float(target.body_yaw))

    def _switch_on(self) -> None:
        """Streaming targets right after switching on in the sleep pose can stop the daemon: neutral comes first."""
        self.sdk.enable_motors()
        state = self._state
        tilt = np.pi if state is None else angle_between(state.head[:3, 0], (1.0, 0.0, 0.0))
        if state is None or tilt > NEAR_RAD or abs(state.head[2, 3]) > NEAR_M:
            # body_yaw=None: otherwise the SDK recentres the body
            self.sdk.goto_target(
                head=np.array(robot.NEUTRAL_HEAD), antennas=list(robot.NEUTRAL_ANTENNAS), duration=WAKE_S, body_yaw=None
            )

    def _measure(self) -> None:
        joints, antennas = self.sdk.get_current_joint_positions()
        stamp = time.monotonic_ns()
        angles = np.array(joints, dtype=np.float64)
        try:
            head, _ = self._kinematics.forward(angles)
        except KinematicsError:
            head = np.array(self.sdk.get_current_head_pose(), dtype=np.float64)
        self._state = RobotState(stamp, angles, (float(antennas[0]), float(antennas[1])), head)


def _close(sdk: Any) -> None:
    for part, method in ((getattr(sdk, "media_manager", None), "close"), (getattr(sdk, "client", None), "disconnect")):
        try:
            if part is not None:
                getattr(part, method)()
        except Exception:
            pass  # the robot may be gone; there is nothing left to close then


class ReachyCamera:
    """The robot's camera (`backend.Camera`), scaled down by whole factors to about the size that is asked for."""

    def __init__(self, backend: ReachyBackend, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._backend = backend
        self._number = 0
        self._running = False
        self._last = 0.0

    def start(self) -> None:
        """The SDK's pipeline runs already; from now on its frames are taken."""
        self._running, self._last = True, time.monotonic()

    def stop(self) -> None:
        """Frames are left where they are."""
        self._running = False

    def wait(self, timeout_s: float) -> Frame | None:
        """Returns the next frame, BGR turned to RGB."""
        deadline = time.monotonic() + timeout_s
        while self._running and time.monotonic() < deadline:
            sdk = self._backend.sdk
            picture = sdk.media.get_frame() if sdk is not None else None
            if picture is not None:
                stamp = time.monotonic_ns()
                step = max(1, round(picture.shape[0] / self.height))
                pixels = np.ascontiguousarray(picture[::step, ::step, ::-1])
                self.height, self.width = pixels.shape[:2]
                self._number += 1
                self._last = time.monotonic()
                return Frame(stamp, self._number, pixels)
            time.sleep(0.01)  # the SDK has no way to wait for a frame
        return None

    def fault(self) -> str:
        """Returns why no frames come."""
        silent = time.monotonic() - self._last
        return f"no picture from the robot's camera for {silent:.1f} s" if self._running and silent > 2.0 else ""


class ReachyMicrophone:
    """The robot's microphones (`backend.Microphone`), mixed to mono."""

    def __init__(self, backend: ReachyBackend) -> None:
        self._backend = backend
        self._of: Any = None
        self._resampler = Resampler(RATE, RATE)
        self._ready: Samples = np.zeros(0, np.float32)

    def read(self) -> Samples:
        """Returns the next 20 ms; silence until the robot has sent enough."""
        sdk = self._backend.sdk
        if sdk is not None:
            if sdk is not self._of:
                sdk.media.start_recording()
                self._of = sdk
                self._resampler = Resampler(int(sdk.media.get_input_audio_samplerate()) or RATE, RATE)
            sample = sdk.media.get_audio_sample()
            if sample is not None and len(sample):
                mono = np.asarray(sample, np.float32)
                mono = mono.mean(axis=1) if mono.ndim == 2 else mono
                self._ready = np.concatenate([self._ready, self._resampler.push(mono)])[-RATE:]
        if len(self._ready) < TICK:
            return np.zeros(TICK, np.float32)
        piece, self._ready = self._ready[:TICK], self._ready[TICK:]
        return piece


class ReachyLoudspeaker:
    """The robot's loudspeaker (`backend.Loudspeaker`)."""

    def __init__(self, backend: ReachyBackend) -> None:
        self._backend = backend
        self._of: Any = None
        self._resampler = Resampler(RATE, RATE)

    def play(self, samples: Samples) -> None:
        """Pushes 20 ms to the SDK's player."""
        sdk = self._backend.sdk
        if sdk is None:
            return
        if sdk is not self._of:
            sdk.media.start_playing()
            self._of = sdk
            self._resampler = Resampler(RATE, int(sdk.media.get_output_audio_samplerate()) or RATE)
        sdk.media.push_audio_sample(self._resampler.push(samples))
