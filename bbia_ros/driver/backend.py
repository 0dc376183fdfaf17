"""What every robot looks like to the driver node: the simulator, the real one and the stand-in for tests.

`mujoco_backend.py`, `reachy_backend.py` and `mock_backend.py` are siblings that read alike. All times are of the
steady clock (`time.monotonic_ns`); the node turns them into ROS time. No method may block for more than a few
milliseconds, `connect` excepted where it says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bbia_ros.driver.audio import Samples

Matrix = npt.NDArray[np.float64]
"""4x4 pose."""


class BackendError(RuntimeError):
    """The robot cannot do that now; the message says why and what to do."""


@dataclass(frozen=True)
class Target:
    """A pose of the whole body.

    Attributes:
        head: 4x4 of `head` in `head_neutral`.
        body_yaw: [rad], positive to the left.
        antennas: (right, left) [rad].
    """

    head: Matrix
    body_yaw: float
    antennas: tuple[float, float]


@dataclass(frozen=True)
class RobotState:
    """What the robot measures.

    Attributes:
        stamp_ns: Steady clock when it was measured.
        joints: (7,) [rad] in the order of JOINT_NAMES.
        antennas: (right, left) [rad].
        head: 4x4 of `head` in `head_neutral`.
    """

    stamp_ns: int
    joints: Matrix
    antennas: tuple[float, float]
    head: Matrix


@dataclass(frozen=True)
class Frame:
    """A picture of the eye camera.

    Attributes:
        stamp_ns: Steady clock of the instant that it shows.
        number: Counts up by one per picture.
        pixels: height x width x 3, uint8, RGB.
    """

    stamp_ns: int
    number: int
    pixels: npt.NDArray[np.uint8]


class Camera(Protocol):
    """The eye. Runs only between `start` and `stop`."""

    def start(self) -> None:
        """Begins to deliver frames, soon."""

    def stop(self) -> None:
        """Ends that and gives back what it took."""

    def wait(self, timeout_s: float) -> Frame | None:
        """Returns the newest frame that was not returned before, None when none comes in time. Blocks: own thread."""

    def fault(self) -> str:
        """Returns why no frames come, in one sentence; empty when nothing is known to be wrong."""


class Microphone(Protocol):
    """Delivers 16 kHz mono in pieces of 20 ms."""

    def read(self) -> Samples:
        """Returns the next 320 samples; silence when there is nothing."""


class Loudspeaker(Protocol):
    """Takes what is to be heard, 16 kHz mono in pieces of 20 ms, in time."""

    def play(self, samples: Samples) -> None:
        """Plays 320 samples now."""


class Backend(Protocol):
    """A robot.

    Attributes:
        name: As in the parameter `backend`.
    """

    name: str

    @property
    def camera(self) -> Camera | None:
        """The eye, if the robot has one."""

    @property
    def microphone(self) -> Microphone | None:
        """The ears, if the robot has any."""

    @property
    def loudspeaker(self) -> Loudspeaker | None:
        """The voice, if the robot has one."""

    def connect(self) -> None:
        """Makes the robot ready; it holds the pose that it is in.

        Raises:
            BackendError: there is no such robot.
        """

    def disconnect(self) -> None:
        """Gives the robot back. More than once is fine."""

    def send_target(self, target: Target) -> None:
        """Lets the robot go to a target, which must be inside the envelope; it stays there."""

    def hold(self) -> None:
        """Stops the robot in the pose that it is in."""

    def enable_motors(self, on: bool) -> None:
        """Switches torque. On: the targets are first set to the present pose, so that nothing jumps."""

    def read_state(self) -> RobotState | None:
        """Returns the latest measurement, None before the first."""

    def supervise(self) -> str:
        """Called a few times per second: keeps the robot alive, brings it back.

        Returns:
            What is wrong, in one sentence; empty when nothing is.
        """
