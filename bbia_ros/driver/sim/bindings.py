"""Imports MuJoCo with the least memory.

`import mujoco` also imports its renderer classes and with them PyOpenGL: 16 MB that the physics never uses and that
`offscreen.py` replaces by a few ctypes calls. MuJoCo guards that import with `except ImportError`, so it can be
withheld.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

WITHHELD = ("mujoco.rendering", "mujoco._render")


class SimulatorUnavailable(RuntimeError):
    """A library or file that the simulator needs is not installed; the message says what to type."""


def load_mujoco() -> Any:
    """Returns the module `mujoco`, imported without its renderer classes when this is the first import of it.

    `mujoco._render` (the bare OpenGL calls) stays importable afterwards.

    Raises:
        SimulatorUnavailable: mujoco is not installed.
    """
    if "mujoco" in sys.modules:
        return sys.modules["mujoco"]
    found = importlib.util.find_spec("mujoco")
    if found is None or found.origin is None:
        raise SimulatorUnavailable("mujoco is not installed; pip install mujoco")
    # Older releases keep the renderer elsewhere and do not guard its import: they are taken whole.
    guarded = (Path(found.origin).parent / "rendering").is_dir()
    withheld = [name for name in WITHHELD if guarded and name not in sys.modules]
    for name in withheld:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        import mujoco
    finally:
        for name in withheld:
            del sys.modules[name]
    return mujoco
