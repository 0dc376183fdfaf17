"""The physics engine: a real-time loop in a thread of the worker `simulator`.

It reads targets from the shared block and writes states to it; no call waits for it and it waits for none. On two
shared cores of 2.x GHz it takes 4-6 % of one and 45 MB PSS; loading takes 0.15 s from the cache, 1.5 s the first time.
A worker that starts again goes on at the configuration that its predecessor left in the block.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import numpy as np

from bbia_ros.driver import reachy_mini
from bbia_ros.driver.kinematics import Kinematics
from bbia_ros.driver.sim import mjb, scene
from bbia_ros.driver.sim.bindings import load_mujoco
from bbia_ros.driver.sim.block import COMMAND, OBJECTS_MAX, QPOS_MAX, STATE, Block, BlockError
from bbia_ros.driver.sim.scene import SceneOptions
from bbia_ros.driver.sim.visitor import Arc, VisitorError
from bbia_ros.geometry import inverse_pose

STEPS = 5
"""Physics steps per turn of the loop: 10 ms with steps of 2 ms, so that the overhead of Python stays small."""
SETTLE_STEPS = 400
"""Steps with which the closed chain of the neck finds together from the MJCF's zero, before the first state."""
SLIP_S = 0.2
"""Farther behind real time than this, the loop gives up catching up."""

_logger = logging.getLogger(__name__)


class PhysicsEngine:
    """Owns model, data and the loop's thread.

    Args:
        block: Path of the driver's shared block.
        scene: Which scene, see `SceneOptions`.
        width: Pictures' width that the block was made for [pixels].
        height: Their height.
        silence_s: The loop ends by itself when the driver's heartbeat is older than this [s].

    Raises:
        SimulatorUnavailable: a library or file is missing.
        BlockError: the driver is gone.
    """

    def __init__(self, block: str, scene: str, width: int, height: int, silence_s: float = 10.0) -> None:
        self._block = Block.open(block, width, height)
        self._silence_ns = int(silence_s * 1e9)
        self._mujoco = load_mujoco()
        self._model = mjb.load("physics", SceneOptions(scene=scene))
        if self._model.nq > QPOS_MAX:
            raise BlockError(f"the scene has {self._model.nq} coordinates, more than {QPOS_MAX}")
        self._data = self._mujoco.MjData(self._model)
        self._look_up()
        self._state = np.zeros(1, STATE)
        self._command = np.zeros(1, COMMAND)[0]
        self._resume()
        self._state["object_names"] = b""
        self._state["object_names"][0, : len(self._object_names)] = self._object_names
        self._end = threading.Event()
        self._ended_because = ""
        self._thread = threading.Thread(target=self._run, name="physics", daemon=True)
        self._thread.start()

    def status(self) -> dict[str, Any]:
        """Returns `running` and, when not, `reason`."""
        return {"running": self._thread.is_alive(), "reason": self._ended_because}

    def close(self) -> None:
        """Ends the loop."""
        self._end.set()
        self._thread.join(1.0)
        self._block.close()

    def _look_up(self) -> None:
        model = self._model
        names = (*reachy_mini.JOINT_NAMES, *reachy_mini.ANTENNA_NAMES)
        self._joint_address = np.array([model.joint(name).qposadr[0] for name in names])
        self._actuator = np.array([model.actuator(name).id for name in names])
        self._gain, self._bias = model.actuator_gainprm.copy(), model.actuator_biasprm.copy()
        self._motors = True
        self._site = model.site(scene.HEAD_SITE).id
        self._camera = model.camera(scene.EYE_CAMERA).id
        self._mocap = int(model.body(scene.VISITOR_BODY).mocapid[0])
        free = [j for j in range(model.njnt) if model.jnt_type[j] == self._mujoco.mjtJoint.mjJNT_FREE]
        bodies = [int(model.jnt_bodyid[j]) for j in free][:OBJECTS_MAX]
        self._object_names = [model.body(body).name.encode()[:32] for body in bodies]
        self._object_geoms = np.array([int(model.body_geomadr[body]) for body in bodies], dtype=np.int64)

    def _resume(self) -> None:
        """Goes on where the block's last state is, or starts asleep."""
        try:
            last = self._block.state.read()
        except BlockError:
            last = np.zeros(1, STATE)  # the predecessor was killed while writing
        if last["stamp_ns"][0] and last["nq"][0] == self._model.nq and np.isfinite(last["qpos"]).all():
            self._state[:] = last
            self._data.qpos[:] = last["qpos"][0, : self._model.nq]
            self._data.time = float(last["sim_time"][0])
            self._mujoco.mj_forward(self._model, self._data)
            return
        sleep = Kinematics().inverse(reachy_mini.SLEEP_HEAD, 0.0)
        joints = np.concatenate([sleep, reachy_mini.SLEEP_ANTENNAS])
        # From zero, where the chain is closed, to sleep with the motors' own strength.
        for step in range(SETTLE_STEPS):
            self._set_targets(joints * min(1.0, 2.0 * step / SETTLE_STEPS))
            self._mujoco.mj_step(self._model, self._data)
        self._data.time = 0.0

    def _set_targets(self, joints_and_antennas: Any) -> None:
        targets = np.array(joints_and_antennas, dtype=np.float64)
        targets[7:] *= -1.0  # antennas turn the other way round in the MJCF
        self._data.ctrl[self._actuator] = targets

    def _set_motors(self, on: bool) -> None:
        if on != self._motors:
            self._model.actuator_gainprm[:] = self._gain if on else 0.0
            self._model.actuator_biasprm[:] = self._bias if on else 0.0
            self._motors = on

    def _run(self) -> None:
        period = STEPS * float(self._model.opt.timestep)
        deadline = time.monotonic()
        self._publish()
        try:
            while not self._end.wait(max(0.0, deadline - time.monotonic())):
                if not self._obey():
                    return
                self._mujoco.mj_step(self._model, self._data, nstep=STEPS)
                self._guard()
                self._publish()
                deadline += period
                if time.monotonic() - deadline > SLIP_S:
                    deadline = time.monotonic()
                    self._state["slips"] += 1
        except Exception as error:
            self._ended_because = f"{type(error).__name__}: {error}"
            _logger.exception("the physics loop failed")

    def _obey(self) -> bool:
        """Takes over the driver's command; False when the driver is gone or silent."""
        try:
            self._command = self._block.command.read()[0]
        except BlockError:
            pass  # the driver is suspended in the act: the last command counts, and its heartbeat grows old
        command = self._command
        now = time.monotonic_ns()
        silence = now - int(command["heartbeat_ns"])
        if silence > self._silence_ns:
            self._ended_because = f"the driver has been silent for {silence / 1e9:.0f} s"
            _logger.warning("%s; the simulation ends", self._ended_because)
            return False
        self._set_motors(bool(command["motors"]))
        self._set_targets(np.concatenate([command["joints"], command["antennas"]]))
        self._place_visitor(command, now)
        return True

    def _place_visitor(self, command: Any, now: int) -> None:
        state = self._state[0]
        state["visitor_present"] = command["visitor_present"]
        position, yaw = scene.VISITOR_AWAY, 0.0
        if command["visitor_present"]:
            try:
                arc = Arc(*(float(value) for value in command["visitor_arc"]))
            except VisitorError:
                state["visitor_present"] = 0  # refused by the driver already; never seen here
            else:
                elapsed = (now - int(command["visitor_since_ns"])) * 1e-9
                face, yaw = arc.face(elapsed), arc.heading(elapsed)
                state["visitor"] = face
                position = scene.board_centre(face)
        self._data.mocap_pos[self._mocap] = position
        self._data.mocap_quat[self._mocap] = (np.cos(yaw / 2.0), 0.0, 0.0, np.sin(yaw / 2.0))

    def _guard(self) -> None:
        """MuJoCo resets itself when it diverges: then the last good configuration is put back, at rest."""
        warnings = self._data.warning
        bad = sum(warnings[int(kind)].number for kind in self._divergences())
        if bad:
            self._mujoco.mj_resetData(self._model, self._data)
            self._data.qpos[:] = self._state["qpos"][0, : self._model.nq]
            self._data.time = float(self._state["sim_time"][0])
            self._mujoco.mj_forward(self._model, self._data)
            self._state["resets"] += 1

    def _divergences(self) -> tuple[Any, ...]:
        kinds = self._mujoco.mjtWarning
        return kinds.mjWARN_BADQPOS, kinds.mjWARN_BADQVEL, kinds.mjWARN_BADQACC

    def _publish(self) -> None:
        data, state = self._data, self._state[0]
        angles = data.qpos[self._joint_address]
        state["stamp_ns"] = time.monotonic_ns()
        state["steps"] += STEPS
        state["sim_time"] = data.time
        state["joints"] = angles[:7]
        state["antennas"] = -angles[7:]
        head = np.eye(4)
        head[:3, :3] = data.site_xmat[self._site].reshape(3, 3)
        head[:3, 3] = data.site_xpos[self._site]
        state["head"] = _WORLD_TO_NEUTRAL_INVERSE @ head
        camera = np.eye(4)
        camera[:3, :3] = data.cam_xmat[self._camera].reshape(3, 3) * (1.0, -1.0, -1.0)
        camera[:3, 3] = data.cam_xpos[self._camera]
        state["camera"] = camera
        state["mocap_pos"] = data.mocap_pos[self._mocap]
        state["mocap_quat"] = data.mocap_quat[self._mocap]
        state["objects"][: len(self._object_geoms)] = data.geom_xpos[self._object_geoms]
        state["nq"] = self._model.nq
        state["qpos"][: self._model.nq] = data.qpos
        self._block.state.write(self._state)


_WORLD_TO_NEUTRAL_INVERSE = inverse_pose(reachy_mini.WORLD_TO_HEAD_NEUTRAL)
