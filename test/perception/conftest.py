"""The portrait that stands for a visitor in tests: scikit-image's astronaut, one smiling face."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bbia_ros.perception.bearing import Intrinsics

sys.path.insert(0, str(Path(__file__).parent))  # for the modules that tests share
FOVY = math.radians(80.0)


def astronaut() -> NDArray[np.uint8]:
    """512 x 512 x 3. Read from the wheel's file: importing scikit-image brings much that is not needed."""
    spec = importlib.util.find_spec("skimage")
    assert spec is not None
    assert spec.origin is not None
    picture = Image.open(Path(spec.origin).parent / "data" / "astronaut.png").convert("RGB")
    return np.asarray(picture, dtype=np.uint8)


def visitor(
    side: int, width: int = 320, height: int = 240, right: int = 0, down: int = 0, grey: int = 128
) -> NDArray[np.uint8]:
    """A picture with the head and shoulders on a board of that side [pixel], off the centre by so many pixels."""
    board = Image.fromarray(astronaut()[0:220, 120:330]).resize((side, side), Image.Resampling.BILINEAR)
    picture = np.full((height, width, 3), grey, dtype=np.uint8)
    x, y = (width - side) // 2 + right, (height - side) // 2 + down
    picture[y : y + side, x : x + side] = np.asarray(board)
    return picture


def camera(width: int = 320, height: int = 240) -> Intrinsics:
    """The robot's eye: 80 degrees from top to bottom."""
    focal = height / 2.0 / math.tan(FOVY / 2.0)
    return Intrinsics(focal, focal, width / 2.0, height / 2.0, width, height)


def intrinsics(width: int = 320, height: int = 240) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy of that camera."""
    eye = camera(width, height)
    return eye.fx, eye.fy, eye.cx, eye.cy


@pytest.fixture(scope="session")
def portrait() -> SimpleNamespace:
    """These functions, for tests."""
    return SimpleNamespace(astronaut=astronaut, visitor=visitor, camera=camera, intrinsics=intrinsics)
