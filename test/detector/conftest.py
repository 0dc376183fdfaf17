"""Renders without a display."""

from __future__ import annotations

import os

os.environ.setdefault("MUJOCO_GL", "osmesa")
