"""From what an engine found in one image to things with identity, direction and distance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bbia_ros.perception.bearing import Intrinsics, bearing, object_distance, to_head
from bbia_ros.perception.detections import Detection
from bbia_ros.perception.faces import FaceReading
from bbia_ros.perception.gaze import gaze, looking_at
from bbia_ros.perception.tracking import Tracker
from bbia_ros.perception.turning import turn_warp

FloatArray = NDArray[np.float64]

UNKNOWN = np.full(3, math.nan)
"""A direction that is not known."""


@dataclass(frozen=True, eq=False)
class SeenObject:
    """An object in an image.

    Attributes:
        detection: label, score and box as the engine gave them.
        track_id: stable over images, from 1; 0: not tracked.
        bearing: unit vector from the camera to the middle of the box, head frame; NaN where the camera is unknown.
        distance: from the camera [m]; NaN where unknown.
        distance_std: one standard deviation of it [m]; NaN where unknown.
    """

    detection: Detection
    track_id: int
    bearing: FloatArray
    distance: float
    distance_std: float


@dataclass(frozen=True, eq=False)
class SeenFace:
    """A face in an image.

    Attributes:
        reading: box, landmarks, blendshapes and pose as the engine gave them.
        track_id: stable over images, from 1; 0: not tracked.
        bearing: unit vector from the camera to the middle of the box, head frame; NaN where the camera is unknown.
        distance: from the camera [m], relative standard deviation faces.DISTANCE_STD; NaN where unknown.
        gaze: unit vector along which the face looks, head frame; NaN where unknown.
        looking_at_robot: the gaze meets the camera.
    """

    reading: FaceReading
    track_id: int
    bearing: FloatArray
    distance: float
    gaze: FloatArray
    looking_at_robot: bool


class ObjectScene:
    """The objects around the robot, image after image. Owns the tracks of objects."""

    def __init__(self, max_objects: int, coast_s: float) -> None:
        """Start with nothing seen.

        Args:
            max_objects: at most so many objects per image, best score first.
            coast_s: an object unseen for so long gets a new identity when it comes back [s].
        """
        self._max_objects = max_objects
        self._tracker = Tracker(max_objects, coast_s)
        self._orientation: FloatArray | None = None

    def reset(self) -> None:
        """Forget all tracks; identities go on counting."""
        self._tracker.reset()
        self._orientation = None

    def update(
        self,
        detections: Sequence[Detection],
        stamp: float,
        camera: Intrinsics | None = None,
        orientation: FloatArray | None = None,
    ) -> list[SeenObject]:
        """Take what was found in one image.

        Args:
            detections: from the engine, any order.
            stamp: of the image [s].
            camera: of the image; without it no directions and distances.
            orientation: rotation 3x3 of the camera optical frame in head_neutral at the image's time; None: unknown.

        Returns:
            Objects by falling score.
        """
        found = sorted(detections, key=lambda detection: -detection.score)[: self._max_objects]
        found = [detection for detection in found if detection.width > 0.0 and detection.height > 0.0]
        boxes = [(item.x, item.y, item.width, item.height) for item in found]
        warp = turn_warp(camera, self._orientation, orientation) if camera is not None else None
        self._orientation = orientation
        identities = self._tracker.update(boxes, stamp, [item.label for item in found], warp)
        seen = []
        for item, identity, box in zip(found, identities, boxes, strict=True):
            direction, distance, std = UNKNOWN, math.nan, math.nan
            if camera is not None:
                direction = bearing(camera, item.x + item.width / 2.0, item.y + item.height / 2.0)
                distance, std = object_distance(camera, item.label, box)
            seen.append(SeenObject(item, identity, direction, distance, std))
        return seen


class FaceScene:
    """The people around the robot, image after image. Owns the tracks of faces."""

    def __init__(self, max_faces: int, coast_s: float, gaze_tolerance: float) -> None:
        """Start with nobody seen.

        Args:
            max_faces: at most so many faces per image, best score first.
            coast_s: a face unseen for so long gets a new identity when it comes back [s].
            gaze_tolerance: a gaze this close to the camera looks at the robot [rad].
        """
        self._max_faces = max_faces
        self._tracker = Tracker(max_faces, coast_s)
        self._orientation: FloatArray | None = None
        self.gaze_tolerance = gaze_tolerance

    def reset(self) -> None:
        """Forget all tracks; identities go on counting."""
        self._tracker.reset()
        self._orientation = None

    def update(
        self,
        readings: Sequence[FaceReading],
        stamp: float,
        camera: Intrinsics | None = None,
        orientation: FloatArray | None = None,
    ) -> list[SeenFace]:
        """Take the faces found in one image; arguments as for objects.

        Returns:
            Faces, nearest first (by distance, where that is unknown by size).
        """
        found = sorted(readings, key=lambda reading: -reading.score)[: self._max_faces]
        warp = turn_warp(camera, self._orientation, orientation) if camera is not None else None
        self._orientation = orientation
        identities = self._tracker.update([reading.box for reading in found], stamp, None, warp)
        seen = [self._face(*pair, camera) for pair in zip(found, identities, strict=True)]
        return sorted(seen, key=lambda face: (math.isnan(face.distance), face.distance, -face.reading.box[3]))

    def _face(self, reading: FaceReading, identity: int, camera: Intrinsics | None) -> SeenFace:
        if camera is None:
            return SeenFace(reading, identity, UNKNOWN, math.nan, UNKNOWN, False)
        x, y, width, height = reading.box
        direction = bearing(camera, x + width / 2.0, y + height / 2.0)
        if reading.pose is None:
            return SeenFace(reading, identity, direction, math.nan, UNKNOWN, False)
        line = gaze(reading.pose[:3, :3], [float(value) for value in reading.blendshapes])
        position = reading.pose[:3, 3]
        distance = float(np.linalg.norm(position))
        return SeenFace(
            reading,
            identity,
            direction,
            distance,
            to_head(line),
            looking_at(line, position / distance, self.gaze_tolerance),
        )
