"""How the head turned between two images, so that tracks survive it.

A fast turn of the head moves everything in the picture by more than a thing's own size; who is who is then only clear
when the turn is taken out. The shift that comes with it (the camera sits 7 cm from the turning point) is left to the
tracker's gate.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bbia_ros.driver.reachy_mini import HEAD_TO_CAMERA
from bbia_ros.geometry import rotation_from_quaternion
from bbia_ros.perception.bearing import Intrinsics
from bbia_ros.perception.tracking import Warp

FloatArray = NDArray[np.float64]

HISTORY = 100
"""Head poses kept: 2 s at 50 Hz."""

MAX_AGE_S = 0.1
"""A head pose that is further than this from an image's stamp says nothing about it."""


class HeadHistory:
    """The orientation of the camera over the last seconds. Owns HISTORY orientations at most. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._poses: deque[tuple[float, FloatArray]] = deque(maxlen=HISTORY)

    def add(self, stamp: float, quaternion: ArrayLike) -> None:
        """Note the head's orientation.

        Args:
            stamp: [s]; an earlier one than before (a replay that starts again) forgets the others.
            quaternion: [x, y, z, w] of the head in head_neutral; one that is zero or not finite is ignored.
        """
        value = np.asarray(quaternion, dtype=np.float64)
        norm = float(np.linalg.norm(value))
        if not np.isfinite(norm) or norm < 1e-6:
            return
        with self._lock:
            if self._poses and stamp < self._poses[-1][0]:
                self._poses.clear()
            self._poses.append((stamp, value / norm))

    def at(self, stamp: float) -> FloatArray | None:
        """Rotation 3x3 of the camera optical frame in head_neutral at a time; None where no pose is near enough.

        Between two poses the quaternion is interpolated linearly and normalised: at 50 Hz they differ by little.
        """
        with self._lock:
            poses = list(self._poses)
        after = bisect_left(poses, stamp, key=lambda pose: pose[0])
        near = [pose for pose in poses[max(0, after - 1) : after + 1] if abs(pose[0] - stamp) <= MAX_AGE_S]
        if not near:
            return None
        quaternion = near[0][1]
        if len(near) == 2:
            (start, first), (end, second) = near
            part = (stamp - start) / max(1e-9, end - start)
            quaternion = (1.0 - part) * first + part * (second if first @ second >= 0.0 else -second)
        rotation = np.asarray(rotation_from_quaternion(quaternion)) @ HEAD_TO_CAMERA[:3, :3]
        return np.asarray(rotation, dtype=np.float64)


def turn_warp(camera: Intrinsics, before: FloatArray | None, now: FloatArray | None) -> Warp | None:
    """How far things moved in the picture because the camera turned.

    Args:
        camera: the camera.
        before: rotation 3x3 of the camera optical frame at the previous image.
        now: the same at this image.

    Returns:
        For a pixel of the previous image its place in this one; None when an orientation is unknown.
    """
    if before is None or now is None:
        return None
    turn = now.T @ before

    def warp(u: float, v: float) -> tuple[float, float]:
        return camera.pixel(turn @ camera.ray(u, v))

    return warp
