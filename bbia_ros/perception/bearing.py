"""From pixels to directions and distances: the pinhole camera, the head frame, the sizes of known things.

Frames: camera optical (x right, y down, z forward), head (x forward, y left, z up; REP-103). A bearing is the unit
vector from the camera's optical centre to a thing, along the axes of the head frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bbia_ros.driver.reachy_mini import HEAD_TO_CAMERA

FloatArray = NDArray[np.float64]

EDGE_STD_PX = 1.0
"""Standard deviation of one edge of a detector's box [pixel]."""


@dataclass(frozen=True)
class KnownSize:
    """How large a class of thing looks.

    Attributes:
        mean: geometric mean of its silhouette's width and height, averaged over directions of view [m].
        std: standard deviation of that over the directions [m].
    """

    mean: float
    std: float


KNOWN_SIZES: Mapping[str, KnownSize] = MappingProxyType(
    {
        "apple": KnownSize(0.0939, 0.0015),
        "croissant": KnownSize(0.1152, 0.0155),
        "duck": KnownSize(0.1100, 0.0055),
    }
)
"""Things whose size is known, as they rest on the table of the robot's simulated scene.

Measured on the meshes of the reachy-mini wheel (scale of scenes/minimal.xml), seen from 36 azimuths at 10 to 50 degrees
of elevation; test_bearing.py measures them again.
"""


class CameraError(ValueError):
    """A camera_info that no bearing can be computed from."""


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera without distortion.

    Attributes:
        fx: focal length along x [pixel].
        fy: focal length along y [pixel].
        cx: principal point, x [pixel].
        cy: principal point, y [pixel].
        width: of the image [pixel].
        height: of the image [pixel].
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    @classmethod
    def from_k(cls, k: Sequence[float], width: int, height: int) -> Intrinsics:
        """From the row-major 3x3 matrix K of a sensor_msgs/CameraInfo.

        Raises:
            CameraError: K is no pinhole camera of that size.
        """
        values = [float(value) for value in k]
        if len(values) != 9 or not all(math.isfinite(value) for value in values) or min(values[0], values[4]) <= 0.0:
            raise CameraError(f"camera_info: K = {values} is not the matrix of a pinhole camera")
        if width <= 0 or height <= 0:
            raise CameraError(f"camera_info: image size {width}x{height} is not positive")
        return cls(values[0], values[4], values[2], values[5], int(width), int(height))

    def ray(self, u: float, v: float) -> FloatArray:
        """Unit vector to a pixel, camera optical frame."""
        ray = np.array([(u - self.cx) / self.fx, (v - self.cy) / self.fy, 1.0])
        return np.asarray(ray / np.linalg.norm(ray), dtype=np.float64)

    def pixel(self, vector: FloatArray) -> tuple[float, float]:
        """Pixel of a direction in the camera optical frame; NaN for one that points behind the image plane."""
        x, y, z = (float(value) for value in vector)
        if z <= 1e-9:
            return math.nan, math.nan
        return self.cx + self.fx * x / z, self.cy + self.fy * y / z


def to_head(vector: FloatArray) -> FloatArray:
    """Turn a direction from the camera optical frame into the head frame."""
    return np.asarray(HEAD_TO_CAMERA[:3, :3] @ np.asarray(vector, dtype=np.float64), dtype=np.float64)


def bearing(camera: Intrinsics, u: float, v: float) -> FloatArray:
    """Unit vector from the camera to a pixel, head frame."""
    return to_head(camera.ray(u, v))


def object_distance(camera: Intrinsics, label: str, box: Sequence[float]) -> tuple[float, float]:
    """Distance of a thing of known size from how large it looks.

    The box is measured as two angles at the camera, so a thing away from the middle of the image is not taken for a
    nearer one; size / distance = 2 tan(angle / 2).

    Args:
        camera: the camera.
        label: class name.
        box: x, y, width, height [pixel].

    Returns:
        Distance from the camera and its standard deviation [m]; both NaN where the class has no known size or the box
        touches the border of the image (the thing may be cut off).
    """
    size = KNOWN_SIZES.get(label)
    x, y, width, height = (float(value) for value in box)
    border = 1.0
    whole = (
        x > border
        and y > border
        and x + width < camera.width - border
        and y + height < camera.height - border
        and min(width, height) >= 2.0
    )
    if size is None or not whole:
        return math.nan, math.nan
    u, v = x + width / 2.0, y + height / 2.0
    spread_x = _half_tangent(camera.ray(x, v), camera.ray(x + width, v))
    spread_y = _half_tangent(camera.ray(u, y), camera.ray(u, y + height))
    distance = size.mean / (2.0 * math.sqrt(spread_x * spread_y))
    edge = EDGE_STD_PX * math.sqrt(2.0)
    relative = math.hypot(size.std / size.mean, 0.5 * edge / width, 0.5 * edge / height)
    return distance, distance * relative


def _half_tangent(first: FloatArray, second: FloatArray) -> float:
    """Tangent of half the angle between two unit vectors."""
    cosine = float(np.clip(first @ second, -1.0, 1.0))
    return math.sqrt((1.0 - cosine) / (1.0 + cosine))
