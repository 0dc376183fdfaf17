"""Where a face looks: the pose of the head and how far the eyes are turned in it.

The face frame has x to its left as the camera sees a person from the front (image right), y up, z out of the face.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bbia_ros.perception.blendshapes import INDEX, NAMES

FloatArray = NDArray[np.float64]

EYE_YAW_RAD = math.radians(35.0)
"""Turn of an eye to the side at blendshape 1, by judgement: an eye can turn 40 to 45 degrees, and seldom does."""

EYE_UP_RAD = math.radians(25.0)
"""Turn of an eye upwards at blendshape 1, by judgement."""

EYE_DOWN_RAD = math.radians(30.0)
"""Turn of an eye downwards at blendshape 1, by judgement."""


def eye_angles(blendshapes: Sequence[float]) -> tuple[float, float]:
    """How far the eyes are turned in the head, both eyes averaged.

    Args:
        blendshapes: 52 values in MediaPipe's order.

    Returns:
        (yaw, pitch) [rad]: yaw positive towards the face frame's x (the person's own left), pitch positive upwards.

    Raises:
        ValueError: not 52 values.
    """
    if len(blendshapes) != len(NAMES):
        raise ValueError(f"{len(blendshapes)} blendshapes: must be {len(NAMES)}")

    def value(name: str) -> float:
        return float(blendshapes[INDEX[name]])

    # The left eye turns outwards to the person's left, the right eye inwards.
    left = value("eyeLookOutLeft") - value("eyeLookInLeft")
    right = value("eyeLookInRight") - value("eyeLookOutRight")
    up = (value("eyeLookUpLeft") + value("eyeLookUpRight")) / 2.0
    down = (value("eyeLookDownLeft") + value("eyeLookDownRight")) / 2.0
    return EYE_YAW_RAD * (left + right) / 2.0, EYE_UP_RAD * up - EYE_DOWN_RAD * down


def gaze(rotation: FloatArray, blendshapes: Sequence[float] | None = None) -> FloatArray:
    """Unit vector along which a face looks, in the frame that its rotation is given in.

    Args:
        rotation: 3x3, from the face frame (x, y, z as above) to for instance the camera optical frame.
        blendshapes: 52 values; without them the eyes are taken to look straight ahead.
    """
    yaw, pitch = (0.0, 0.0) if blendshapes is None or len(blendshapes) == 0 else eye_angles(blendshapes)
    local = np.array([math.cos(pitch) * math.sin(yaw), math.sin(pitch), math.cos(pitch) * math.cos(yaw)])
    return np.asarray(np.asarray(rotation, dtype=np.float64) @ local, dtype=np.float64)


def looking_at(direction: FloatArray, to_face: FloatArray, tolerance: float) -> bool:
    """Whether a gaze meets the camera.

    Args:
        direction: unit vector along which the face looks.
        to_face: unit vector from the camera to the face, same frame.
        tolerance: largest angle between the gaze and the line to the camera [rad].
    """
    cosine = float(np.dot(direction, -np.asarray(to_face)))
    return math.isfinite(cosine) and cosine >= math.cos(tolerance)
