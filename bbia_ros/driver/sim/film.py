"""Renders recorded play afterwards, so that the film does not disturb it: from outside and through the eye.

An engine for the residency pool (a process of its own), but a plain class too. 480x360 from outside and 320x240
through the eye take 30-40 ms together on one core of 2.x GHz, and 180 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bbia_ros.driver.sim import mjb, scene
from bbia_ros.driver.sim.bindings import load_mujoco
from bbia_ros.driver.sim.camera import pose
from bbia_ros.driver.sim.offscreen import Offscreen
from bbia_ros.driver.sim.scene import SceneOptions

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class View:
    """From where a spectator looks, in MuJoCo's convention.

    Attributes:
        lookat: Point in the middle of the picture [m in world].
        distance: From there [m].
        azimuth_deg: Direction of the look [deg]: 0 along +x, 90 along +y.
        elevation_deg: Negative looks down [deg].
    """

    lookat: tuple[float, float, float] = (0.38, 0.0, 0.13)
    distance: float = 1.2
    azimuth_deg: float = 75.0
    elevation_deg: float = -16.0


class FilmEngine:
    """Owns a model with everything that a spectator sees, and the renderer. Use it in one thread.

    Args:
        scene: As in `SceneOptions`.
        outside: Width and height of the view from outside [pixels].
        eye: Width and height of the view through the eye [pixels].
        view: From where the spectator looks.

    Raises:
        SimulatorUnavailable: a library or file is missing, or there is no OpenGL here.
    """

    def __init__(
        self,
        scene: str = "minimal",
        outside: tuple[int, int] = (480, 360),
        eye: tuple[int, int] = (320, 240),
        view: View = View(),
    ) -> None:
        width, height = max(outside[0], eye[0]), max(outside[1], eye[1])
        self._model = mjb.load("film", SceneOptions(scene=scene, width=width, height=height))
        self._data = load_mujoco().MjData(self._model)
        self._offscreen = Offscreen(self._model, width, height)
        self._outside_size, self._eye_size = outside, eye
        self._spectator = self._offscreen.free_camera(view.lookat, view.distance, view.azimuth_deg, view.elevation_deg)
        self._eye = self._offscreen.fixed_camera(EYE_CAMERA)

    def outside(self, qpos: Any, mocap_pos: Any, mocap_quat: Any) -> Picture:
        """Returns the spectator's picture of a recorded configuration, height x width x 3, RGB.

        Args:
            qpos: As in SimulationState.
            mocap_pos: The same.
            mocap_quat: The same.
        """
        pose(self._model, self._data, qpos, mocap_pos, mocap_quat)
        return self._offscreen.render(self._data, self._spectator, self._outside_size).copy()

    def eye(self, qpos: Any, mocap_pos: Any, mocap_quat: Any) -> Picture:
        """Returns what the robot saw in a recorded configuration, height x width x 3, RGB."""
        pose(self._model, self._data, qpos, mocap_pos, mocap_quat)
        return self._offscreen.render(self._data, self._eye, self._eye_size).copy()

    def frames(
        self, times: Any, qpos: Any, mocap_pos: Any, mocap_quat: Any, rate_hz: float = 10.0, with_eye: bool = True
    ) -> Iterator[dict[str, Any]]:
        """Renders a recording at a steady rate; each frame shows the last configuration before its time.

        Args:
            times: (n,) [s], ascending.
            qpos: (n, nq).
            mocap_pos: (n, 3 m).
            mocap_quat: (n, 4 m).
            rate_hz: Pictures per second.
            with_eye: Whether to render the eye's view too.

        Yields:
            `time` [s, from the first], `index` into the recording, `outside`, and `eye` where wanted.
        """
        times = np.asarray(times, dtype=np.float64)
        if not len(times):
            return
        count = int((times[-1] - times[0]) * rate_hz) + 1
        for number in range(count):
            time = number / rate_hz
            index = int(np.searchsorted(times, times[0] + time + 1e-9, side="right")) - 1
            recorded = (qpos[index], mocap_pos[index], mocap_quat[index])
            frame: dict[str, Any] = {"time": time, "index": index, "outside": self.outside(*recorded)}
            if with_eye:
                frame["eye"] = self.eye(*recorded)
            yield frame

    def close(self) -> None:
        """Frees the renderer."""
        self._offscreen.close()


EYE_CAMERA = scene.EYE_CAMERA
