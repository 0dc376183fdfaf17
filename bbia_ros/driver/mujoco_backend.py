"""The simulated robot: shared memory between the driver, a physics worker and a camera worker.

Both workers are models of the residency pool (`simulator`, `camera`), so that they count against the budget and end
with the node's activation. The physics worker is restarted where it stopped when it dies.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np

from bbia_ros.driver import reachy_mini
from bbia_ros.driver.backend import Frame, RobotState, Target
from bbia_ros.driver.kinematics import Kinematics
from bbia_ros.driver.sim.block import COMMAND, Block, BlockError
from bbia_ros.driver.sim.room import Room
from bbia_ros.driver.sim.visitor import Arc
from bbia_ros.residency import Lease, ModelFailed, ModelSpec

DEAD_S = 0.5
"""A state older than this means that the physics worker is gone or stuck [s]."""
CAMERA_DEAD_S = 2.0
"""No picture for so long means that the camera worker is gone or stuck [s]."""
CAMERA_SILENT_S = 0.4
"""After so long without a picture it is looked whether the camera's worker has ended: then it is loaded at once [s]."""
RETRY_S = 1.0
"""Least time between the start of a worker and the next one's [s]."""
GIVEN_UP_S = 10.0
"""The same after the pool has given the worker up, three ends in a row: there is no robot without it [s]."""
FIRST_STATE_S = 60.0
"""Time that a worker gets to load before its silence counts [s]; the first time it compiles the scene."""

Acquire = Callable[[ModelSpec], Lease]


class Simulation:
    """Owns the shared block. Lives as long as the node is configured, so that a new worker finds the last state.

    Args:
        scene: `minimal`, `empty`, or the path of an MJCF file.
        width: Pictures' width [pixels].
        height: Pictures' height [pixels].
        rate_hz: Pictures per second.
    """

    def __init__(self, scene: str, width: int, height: int, rate_hz: float) -> None:
        self.scene, self.width, self.height, self.rate_hz = scene, width, height, rate_hz
        self.block = Block.create(width, height)
        self._state: Any = None
        self.bell_read, self.bell_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    @property
    def bell(self) -> str:
        """Where the camera worker opens the pipe."""
        return f"/proc/{os.getpid()}/fd/{self.bell_write}"

    def simulator_spec(self) -> ModelSpec:
        """Returns the physics worker, as the pool wants it described."""
        return ModelSpec(
            name="simulator", task="simulator", engine="bbia_ros.driver.sim.physics:PhysicsEngine",
            arguments={"block": self.block.path, "scene": self.scene, "width": self.width, "height": self.height},
            declared_mb=40.0, ttl_s=0.0, pinned=True, nice=0,
        )  # fmt: skip

    def camera_spec(self) -> ModelSpec:
        """Returns the camera worker."""
        return ModelSpec(
            name="camera", task="camera", engine="bbia_ros.driver.sim.camera:CameraEngine",
            arguments={
                "block": self.block.path, "bell": self.bell, "scene": self.scene,
                "width": self.width, "height": self.height, "rate_hz": self.rate_hz,
            },
            declared_mb=110.0, ttl_s=0.0, pinned=True, nice=5,
        )  # fmt: skip

    def state(self) -> Any:
        """Returns the last state record (`block.STATE`), None before the first."""
        try:
            self._state = self.block.state.read()[0]
        except BlockError:
            pass  # its writer is suspended, or was killed in the act: the last one, which grows old
        return self._state if self._state is not None and self._state["stamp_ns"] else None

    def stands_still(self) -> bool:
        """Whether the physics has not written for too long."""
        state = self.state()
        return state is None or time.monotonic_ns() - int(state["stamp_ns"]) > DEAD_S * 1e9

    def close(self) -> None:
        """Closes block and pipe."""
        self.block.close()
        for descriptor in (self.bell_read, self.bell_write):
            if descriptor >= 0:
                os.close(descriptor)
        self.bell_read = self.bell_write = -1


class SimulatedCamera:
    """The eye camera (`backend.Camera`). Its worker exists between `start` and `stop`."""

    def __init__(self, simulation: Simulation, acquire: Acquire) -> None:
        self.width, self.height = simulation.width, simulation.height
        self._simulation, self._acquire = simulation, acquire
        self._lease: Lease | None = None
        self._loading: Future[None] | None = None
        self._since = 0.0
        self._loaded = False
        self._reason = ""
        self._number = -1
        self._lock = threading.Lock()

    def start(self) -> None:
        """Takes the lease and lets the worker load in the background."""
        with self._lock:
            if self._lease is None:
                self._lease = self._acquire(self._simulation.camera_spec())
                self._load()

    def stop(self) -> None:
        """Ends the worker; takes up to half a second."""
        with self._lock:
            lease, self._lease, self._loading = self._lease, None, None
        if lease is not None:
            lease.release()

    def wait(self, timeout_s: float) -> Frame | None:
        """Returns the newest picture that was not returned before."""
        bell = self._simulation.bell_read
        ready, _, _ = select.select([bell], [], [], timeout_s)
        if not ready:
            return None
        try:
            os.read(bell, 4096)  # however many rang: the newest one wins
        except BlockingIOError:
            return None
        pixels = np.empty(self.width * self.height * 3, np.uint8)
        try:
            picture = self._simulation.block.picture.read(pixels)[0]
        except BlockError:
            return None  # its writer was killed in the act; `fault` will tell
        if picture["number"] == self._number:
            return None
        self._number = int(picture["number"])
        self._since, self._reason = time.monotonic(), ""
        return Frame(int(picture["stamp_ns"]), self._number, pixels.reshape(self.height, self.width, 3))

    def fault(self) -> str:
        """Returns why no pictures come; ends a dead or stuck worker and loads it again."""
        with self._lock:
            if self._lease is None or self._loading is None:
                return ""
            silent = time.monotonic() - self._since
            if not self._loading.done():
                return "the camera does not start" if silent > FIRST_STATE_S else self._reason
            error = self._loading.exception()
            if not self._loaded:
                self._loaded, self._since, silent = True, time.monotonic(), 0.0
            if error is not None:
                self._reason = f"the camera does not run: {error}"
            if silent < (GIVEN_UP_S if isinstance(error, ModelFailed) else CAMERA_DEAD_S):
                if silent > CAMERA_SILENT_S and error is None:
                    self._load_if_gone()
                return self._reason
            if self._simulation.stands_still():
                return "the camera waits for the simulator"
            self._reason = self._reason or "the camera sends no pictures; it is started again"
            self._lease.release()
            self._lease = self._acquire(self._simulation.camera_spec())
            self._load()
            return self._reason

    def _load_if_gone(self) -> None:
        assert self._lease is not None
        loading = self._lease.preload()  # done at once, unless its worker has died
        if not loading.done():
            self._loading, self._loaded, self._since = loading, False, time.monotonic()
            self._reason = "the camera's worker has ended; it is started again"

    def _load(self) -> None:
        assert self._lease is not None
        self._loaded, self._since = False, time.monotonic()
        self._loading = self._lease.preload()


class MujocoBackend:
    """The simulated robot (`backend.Backend`).

    Args:
        simulation: Scene and shared memory.
        acquire: Gives a lease on a worker, as `BbiaNode.lease` does.
    """

    name = "mujoco"

    def __init__(self, simulation: Simulation, acquire: Acquire) -> None:
        self.camera = SimulatedCamera(simulation, acquire)
        self.microphone = Room()
        self.loudspeaker = None
        self._simulation, self._acquire = simulation, acquire
        self._kinematics = Kinematics()
        self._command = np.zeros(1, COMMAND)
        self._lease: Lease | None = None
        self._loading: Future[None] | None = None
        self._loaded_at = 0.0
        self._fault = ""
        self._lock = threading.Lock()

    def connect(self) -> None:
        """Lets the physics worker load in the background; the robot goes on where it was, or is asleep."""
        state = self.read_state()
        command = self._command[0]
        if state is None:
            command["joints"] = self._kinematics.inverse(reachy_mini.SLEEP_HEAD, 0.0)
            command["antennas"] = reachy_mini.SLEEP_ANTENNAS
        else:
            command["joints"], command["antennas"] = state.joints, state.antennas
        command["motors"] = 1
        self._send()
        with self._lock:
            self._lease = self._acquire(self._simulation.simulator_spec())
            self._load()

    def disconnect(self) -> None:
        """Ends both workers."""
        self.camera.stop()
        self.microphone.clear()
        with self._lock:
            lease, self._lease, self._loading, self._fault = self._lease, None, None, ""
        if lease is not None:
            lease.release()

    def send_target(self, target: Target) -> None:
        """Passes the joint angles of a feasible target on."""
        self._command["joints"] = self._kinematics.inverse(target.head, target.body_yaw)
        self._command["antennas"] = target.antennas
        self._send()

    def hold(self) -> None:
        """Pins the targets to the measured pose."""
        state = self.read_state()
        if state is not None:
            self._command["joints"], self._command["antennas"] = state.joints, state.antennas
        self._send()

    def enable_motors(self, on: bool) -> None:
        """Switches the actuators' torque."""
        if on and not self._command["motors"][0]:
            self.hold()
        self._command["motors"] = on
        self._send()

    def read_state(self) -> RobotState | None:
        """Returns the latest state of the simulation."""
        state = self.ground_truth()
        if state is None:
            return None
        right, left = (float(angle) for angle in state["antennas"])
        return RobotState(int(state["stamp_ns"]), state["joints"].copy(), (right, left), state["head"].copy())

    def ground_truth(self) -> Any:
        """Returns the whole state record (`block.STATE`), None before the first."""
        return self._simulation.state()

    def set_visitor(self, arc: Arc | None) -> None:
        """Sends the visitor on a walk that starts now, or away."""
        command = self._command[0]
        command["visitor_present"] = arc is not None
        if arc is not None:
            command["visitor_arc"] = (arc.start, arc.end, arc.speed, arc.distance, arc.height)
            command["visitor_since_ns"] = time.monotonic_ns()
        self._send()

    def supervise(self) -> str:
        """Sends the heartbeat, and brings a dead or stuck physics worker back where it stopped."""
        self._send()
        if self._loading is None:
            return self._fault  # being started again, or disconnected
        waited = time.monotonic() - self._loaded_at
        if not self._loading.done():
            return "the simulator does not start" if waited > FIRST_STATE_S else self._fault
        if not self._simulation.stands_still():
            self._fault = ""
        elif waited > RETRY_S:
            error = self._loading.exception()
            self._fault = f"the simulator does not run ({error or 'its worker ended'}); it is started again"
            if isinstance(error, ModelFailed) and waited <= GIVEN_UP_S:
                return self._fault
            self._loading = None
            threading.Thread(target=self._restart, name="restart", daemon=True).start()
        return self._fault

    def _restart(self) -> None:
        """Ends what is left of the worker, which may take a moment, and loads it again."""
        with self._lock:
            if self._lease is None:
                return  # disconnected meanwhile
            self._lease.release()
            self._lease = self._acquire(self._simulation.simulator_spec())
            self._load()

    def _load(self) -> None:
        assert self._lease is not None
        self._loaded_at = time.monotonic()
        self._loading = self._lease.preload()

    def _send(self) -> None:
        self._command["heartbeat_ns"] = time.monotonic_ns()
        self._simulation.block.command.write(self._command)
