"""Where the scene's files are: the robot's MJCF in the reachy-mini wheel, the portrait in scikit-image.

Both packages are located without importing them: reachy_mini pulls PyGObject and seconds of work, skimage scipy.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from bbia_ros.driver.sim.bindings import SimulatorUnavailable

PORTRAIT_ROWS = (0, 220)
"""Rows of scikit-image's astronaut that show head and shoulders [pixels]."""
PORTRAIT_COLUMNS = (120, 330)
"""Columns of the same [pixels]."""


def _package_folder(package: str, install: str, purpose: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise SimulatorUnavailable(f"{package} is not installed, it carries {purpose}; {install}")
    return Path(found.origin).parent


def scene_path(scene: str) -> Path:
    """Returns the MJCF file of a scene.

    Args:
        scene: `minimal` or `empty` (scenes of the reachy-mini wheel), or the path of an MJCF file.

    Raises:
        SimulatorUnavailable: the wheel or the scene is missing.
    """
    if "/" in scene or scene.endswith(".xml"):
        path = Path(scene).expanduser()
        if not path.is_file():
            raise SimulatorUnavailable(f"there is no scene file {path}")
        return path
    package = _package_folder("reachy_mini", "pip install --no-deps reachy-mini", "the robot's model")
    folder = package / "descriptions/reachy_mini/mjcf/scenes"
    path = folder / f"{scene}.xml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.xml"))) or "none"
        raise SimulatorUnavailable(f"there is no scene {scene!r} in {folder} (there are: {known})")
    return path


def asset_folder(scene: Path) -> Path:
    """Returns the folder with the meshes and textures that a scene file refers to."""
    return scene.parent.parent / "assets"


def portrait_path() -> Path:
    """Returns the PNG with the visitor's face: scikit-image's astronaut, in the public domain (NASA).

    Raises:
        SimulatorUnavailable: scikit-image is missing or carries no such picture.
    """
    path = _package_folder("skimage", "pip install scikit-image", "the visitor's portrait") / "data/astronaut.png"
    if not path.is_file():
        raise SimulatorUnavailable(f"{path} is missing; pip install --force-reinstall scikit-image")
    return path
