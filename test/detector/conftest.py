"""Makes `tools` importable, which is not installed, and renders without a display."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Last on the path: the source tree must not hide the package that was built with its messages.
sys.path.append(str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("MUJOCO_GL", "osmesa")
