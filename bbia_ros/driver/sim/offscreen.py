"""Renders a MuJoCo model into numpy arrays, without a display."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bbia_ros.driver.sim.bindings import load_mujoco
from bbia_ros.driver.sim.opengl import make_context

VISIBLE_GROUPS = (0, 1, 2)
"""Geom groups that are drawn; the MJCF keeps its colliders in group 3."""


class Offscreen:
    """Owns an OpenGL context, a scene and a picture buffer. Use it in the thread that made it, and close it there.

    Raises:
        SimulatorUnavailable: there is no OpenGL here.
        ValueError: the picture is larger than the model's offscreen buffer.
    """

    def __init__(self, model: Any, width: int, height: int) -> None:
        self._mujoco = load_mujoco()
        from mujoco import _render

        screen = model.vis.global_
        if width > screen.offwidth or height > screen.offheight:
            raise ValueError(f"{width}x{height} is larger than the model's {screen.offwidth}x{screen.offheight} pixels")
        self._gl = make_context()
        self._render: Any = _render
        self._model = model
        font = self._mujoco.mjtFontScale.mjFONTSCALE_50
        self._context = _render.MjrContext(model, font.value)
        _render.mjr_setBuffer(self._mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._scene = self._mujoco.MjvScene(model, 400)
        self._options = self._mujoco.MjvOption()
        for group in range(len(self._options.geomgroup)):
            self._options.geomgroup[group] = group in VISIBLE_GROUPS
        for flag in ("mjRND_SHADOW", "mjRND_REFLECTION"):
            self._scene.flags[int(getattr(self._mujoco.mjtRndFlag, flag))] = 0
        self._rectangle = self._mujoco.MjrRect(0, 0, width, height)
        self._pixels = np.zeros((height, width, 3), np.uint8)

    @property
    def backend(self) -> str:
        """`osmesa` or `egl`."""
        return self._gl.name

    def fixed_camera(self, name: str) -> Any:
        """Returns a view through a camera of the model."""
        camera = self._mujoco.MjvCamera()
        camera.type = self._mujoco.mjtCamera.mjCAMERA_FIXED
        camera.fixedcamid = self._model.camera(name).id
        return camera

    def free_camera(
        self, lookat: tuple[float, float, float], distance: float, azimuth_deg: float, elevation_deg: float
    ) -> Any:
        """Returns a view of a point from outside, in MuJoCo's convention: azimuth 0 looks along +x."""
        camera = self._mujoco.MjvCamera()
        camera.type = self._mujoco.mjtCamera.mjCAMERA_FREE
        camera.lookat[:] = lookat
        camera.distance, camera.azimuth, camera.elevation = distance, azimuth_deg, elevation_deg
        return camera

    def render(self, data: Any, camera: Any, size: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
        """Renders `data`, whose positions must be computed.

        Args:
            data: `mujoco.MjData`.
            camera: From `fixed_camera` or `free_camera`.
            size: Width and height [pixels], no larger than the first ones; None: those.

        Returns:
            height x width x 3, RGB, top row first. A view into a buffer that the next call overwrites.
        """
        rectangle, pixels = self._rectangle, self._pixels
        if size is not None and size != (rectangle.width, rectangle.height):
            rectangle = self._mujoco.MjrRect(0, 0, *size)
            pixels = np.empty((size[1], size[0], 3), np.uint8)
        everything = self._mujoco.mjtCatBit.mjCAT_ALL
        self._mujoco.mjv_updateScene(self._model, data, self._options, None, camera, int(everything), self._scene)
        self._render.mjr_render(rectangle, self._scene, self._context)
        self._render.mjr_readPixels(pixels, None, rectangle, self._context)
        return pixels[::-1]

    def close(self) -> None:
        """Frees the buffers and the OpenGL context. More than once is fine."""
        if self._context is not None:
            self._context.free()
            self._context = None
            self._gl.close()
