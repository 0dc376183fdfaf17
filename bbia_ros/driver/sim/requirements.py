"""What the simulator needs, checked when the driver is configured and without importing any of it."""

from __future__ import annotations

import importlib.util

from bbia_ros.driver.sim import assets
from bbia_ros.driver.sim.bindings import SimulatorUnavailable
from bbia_ros.driver.sim.opengl import check_opengl

_LIBRARIES = {"mujoco": "pip install mujoco", "PIL": "pip install pillow"}


def check_simulator(scene: str) -> None:
    """Makes sure that a scene can be simulated and seen here.

    Raises:
        SimulatorUnavailable: with the command that installs what is missing.
    """
    for library, install in _LIBRARIES.items():
        if importlib.util.find_spec(library) is None:
            raise SimulatorUnavailable(f"{library} is not installed, the simulator needs it; {install}")
    assets.scene_path(scene)
    assets.portrait_path()
    check_opengl()
