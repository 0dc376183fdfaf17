"""What a face engine returns, and how MediaPipe's face pose becomes metric for a real camera."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

VIRTUAL_FOVY_RAD = math.radians(63.0)
"""Vertical field of view of the camera that MediaPipe assumes for its facial transformation matrix
(`environment.perspective_camera.vertical_fov_degrees` of its face geometry graph)."""

OPENGL_TO_OPTICAL = np.diag([1.0, -1.0, -1.0])
"""From MediaPipe's camera (x right, y up, z backward) to the camera optical frame (x right, y down, z forward)."""

OUTER_EYE_CORNERS = (33, 263)
"""Landmarks of the outer corners of the eyes, the person's right and left."""

BIOCULAR_M = 0.0895
"""Distance between the outer corners of the eyes [m]: 87.8 mm for women and 91.2 mm for men on average, standard
deviation 3.5 mm (Farkas, Anthropometry of the Head and Face, 1994). MediaPipe's canonical face has 88.9 mm."""

LEAST_ACROSS = 0.3
"""Least part of the distance between the eyes that counts as seen from the side; a profile says little about it."""

DISTANCE_STD = 0.10
"""Relative standard deviation of a face's distance: 4 % for the spread of adults, and the landmarks of small or turned
faces. Children seem too far away, a portrait larger than life too near."""


@dataclass(frozen=True, eq=False)
class FaceReading:
    """One face in an image.

    Attributes:
        score: [0, 1] confidence of the face detector in the face's own crop.
        box: x, y, width, height of the landmarks' bounding box [pixel]; may reach beyond the image.
        landmarks: (478, 3) float32: x right, y down [pixel], z depth relative to the face's centre at the scale of x.
        blendshapes: (52,) float32 in [0, 1], in the order of blendshapes.NAMES.
        pose: 4x4 float64 of the face (origin between the eyes; x to the image's right, y up, z out of the face towards
            the viewer) in the camera optical frame [m]; None where the camera's intrinsics are not known.
    """

    score: float
    box: tuple[float, float, float, float]
    landmarks: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    pose: FloatArray | None


def metric_pose(
    matrix: ArrayLike, landmarks: NDArray[np.float32], intrinsics: tuple[float, float, float, float]
) -> FloatArray:
    """Pose of a face in the camera optical frame.

    MediaPipe's facial transformation matrix is solved in centimetres for a virtual camera of its own (VIRTUAL_FOVY_RAD
    over the height of the picture it is given, optical axis through the middle), and its depth is 15 to 20 % too large
    even there: pupils come out 75 mm apart. So only the rotation is taken from it: what carries over to the
    real camera is the orientation against the line of sight, which is turned from the virtual to the real one. The
    position comes from the landmarks: the outer corners of the eyes are BIOCULAR_M apart along the face's x, which the
    camera sees under an angle, shortened as the face is turned to the side.

    Args:
        matrix: 4x4 facial transformation matrix [cm].
        landmarks: (478, 3) in the whole image [pixel].
        intrinsics: fx, fy, cx, cy of the real camera [pixel].

    Returns:
        4x4 [m]: origin between the eyes, x to the image's right, y up, z out of the face.

    Raises:
        ValueError: the matrix is not finite or lies behind the camera.
    """
    given = np.asarray(matrix, dtype=np.float64).reshape(4, 4)
    line_of_sight = OPENGL_TO_OPTICAL @ given[:3, 3]
    if not np.isfinite(given).all() or line_of_sight[2] <= 0.0:
        raise ValueError("the facial transformation matrix is not of a face before the camera")
    fx, fy, cx, cy = intrinsics
    corners = np.asarray(landmarks[list(OUTER_EYE_CORNERS)], dtype=np.float64)
    rays = np.column_stack([(corners[:, 0] - cx) / fx, (corners[:, 1] - cy) / fy, np.ones(2)])
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    sight = rays.sum(axis=0)
    sight /= np.linalg.norm(sight)
    pose = np.eye(4)
    pose[:3, :3] = smallest_turn(line_of_sight, sight) @ OPENGL_TO_OPTICAL @ given[:3, :3]
    across = math.sqrt(max(LEAST_ACROSS**2, 1.0 - float(pose[:3, 0] @ sight) ** 2))
    half_angle = max(1e-6, math.asin(min(1.0, float(np.linalg.norm(rays[0] - rays[1])) / 2.0)))
    pose[:3, 3] = sight * (BIOCULAR_M * across / (2.0 * math.tan(half_angle)))
    return pose


def smallest_turn(first: FloatArray, second: FloatArray) -> FloatArray:
    """Rotation 3x3 that turns one direction into another about the axis normal to both (Rodrigues).

    Args:
        first: a vector of any length but zero.
        second: another, not opposite to the first.
    """
    a = first / np.linalg.norm(first)
    b = second / np.linalg.norm(second)
    x, y, z = np.cross(a, b)
    skew = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + skew + skew @ skew / (1.0 + float(a @ b)), dtype=np.float64)
