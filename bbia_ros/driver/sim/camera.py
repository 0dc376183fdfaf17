"""The camera engine: renders what the eye sees, in the worker `camera`, which exists only while someone looks.

Each picture shows the state that lay in the shared block when its turn came and carries that state's time. 320x240
take 10-17 ms on one core of 2.x GHz and 130 MB PSS (of which Mesa with LLVM takes 80).
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from typing import Any

import numpy as np

from bbia_ros.driver.sim import mjb, scene
from bbia_ros.driver.sim.bindings import SimulatorUnavailable, load_mujoco
from bbia_ros.driver.sim.block import PICTURE, Block, BlockError
from bbia_ros.driver.sim.scene import SceneOptions
from bbia_ros.residency.heap import trim

LOAD_TIMEOUT_S = 50.0
SETTLED = 20
"""Pictures after which Mesa has compiled its shaders, which leaves 7 MB free in the heap."""

_logger = logging.getLogger(__name__)


class CameraEngine:
    """Owns the rendering thread, in which the OpenGL context lives from beginning to end.

    Args:
        block: Path of the driver's shared block.
        bell: Path of a pipe into which one byte is written per picture.
        scene: Which scene, see `SceneOptions`.
        width: Pictures' width [pixels].
        height: Their height [pixels].
        rate_hz: Pictures per second.

    Raises:
        SimulatorUnavailable: a library or file is missing, or there is no OpenGL here.
        BlockError: the driver is gone.
    """

    def __init__(self, block: str, bell: str, scene: str, width: int, height: int, rate_hz: float) -> None:
        self._options = SceneOptions(scene=scene, width=width, height=height)
        self._period = 1.0 / rate_hz
        self._block = Block.open(block, width, height)
        try:
            self._bell = os.open(bell, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self._block.close()
            raise BlockError(f"the driver's pipe {bell} cannot be opened: {error.strerror}") from error
        self._end = threading.Event()
        self._ready = threading.Event()
        self._failure: Exception | None = None
        self._pictures = 0
        self._renderer = ""
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()
        if not self._ready.wait(LOAD_TIMEOUT_S):
            raise SimulatorUnavailable(f"the camera did not start within {LOAD_TIMEOUT_S:.0f} s")
        if self._failure is not None:
            raise self._failure

    def status(self) -> dict[str, Any]:
        """Returns `running`, `pictures` rendered so far, `renderer` (egl or osmesa) and, once ended, `reason`."""
        return {
            "running": self._thread.is_alive(),
            "pictures": self._pictures,
            "renderer": self._renderer,
            "reason": str(self._failure or ""),
        }

    def close(self) -> None:
        """Ends the thread, which frees its OpenGL context first."""
        self._end.set()
        self._thread.join(2.0)
        if self._bell >= 0:
            os.close(self._bell)
            self._bell = -1
        self._block.close()

    def _run(self) -> None:
        offscreen = None
        try:
            from bbia_ros.driver.sim.offscreen import Offscreen

            model = mjb.load("camera", self._options)
            data = load_mujoco().MjData(model)
            offscreen = Offscreen(model, self._options.width, self._options.height)
            self._renderer = offscreen.backend
            self._ready.set()
            self._loop(model, data, offscreen)
        except Exception as error:
            self._failure = error
            if self._ready.is_set():
                _logger.exception("the camera failed")
        finally:
            if offscreen is not None:
                offscreen.close()
            self._ready.set()

    def _loop(self, model: Any, data: Any, offscreen: Any) -> None:
        eye = offscreen.fixed_camera(scene.EYE_CAMERA)
        picture = np.zeros(1, PICTURE)
        picture["number"] = self._block.picture.read()["number"] if self._readable() else 0
        shown = 0
        deadline = time.monotonic()
        while not self._end.wait(max(0.0, deadline - time.monotonic())):
            deadline = max(deadline + self._period, time.monotonic())
            try:
                state = self._block.state.read()[0]
            except BlockError:
                continue  # the physics is suspended or was killed in the act
            if state["stamp_ns"] == shown:
                continue  # it stands still: no picture rather than an old one with a new number
            shown = int(state["stamp_ns"])
            pose(model, data, state["qpos"][: model.nq], state["mocap_pos"], state["mocap_quat"])
            pixels = offscreen.render(data, eye)
            picture["number"] += 1
            picture["stamp_ns"] = shown
            picture["rendered_ns"] = time.monotonic_ns()
            self._block.picture.write(picture, np.ascontiguousarray(pixels).reshape(-1))
            self._pictures += 1
            if self._pictures == SETTLED:
                trim()
            self._ring()

    def _readable(self) -> bool:
        try:
            self._block.picture.read()
        except BlockError:
            return False  # a predecessor was killed while it wrote
        return True

    def _ring(self) -> None:
        try:
            os.write(self._bell, b"p")
        except OSError as error:
            if error.errno == errno.EPIPE:
                self._end.set()  # nobody holds the other end any more
            elif error.errno != errno.EAGAIN:
                raise


def pose(model: Any, data: Any, qpos: Any, mocap_pos: Any, mocap_quat: Any) -> None:
    """Puts `data` into a recorded configuration, as far as drawing needs it: kinematics, cameras and lights."""
    mujoco = load_mujoco()
    data.qpos[:] = qpos
    data.mocap_pos[:] = np.reshape(mocap_pos, (-1, 3))
    data.mocap_quat[:] = np.reshape(mocap_quat, (-1, 4))
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_camlight(model, data)
