"""What was seen, as ROS messages."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import Point, Point32, Pose, Quaternion, Vector3
from numpy.typing import NDArray
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header

from bbia_ros.geometry import fill_pose
from bbia_ros.msg import Detection as DetectionMessage
from bbia_ros.msg import DetectionArray, Face, FaceArray
from bbia_ros.perception.scene import SeenFace, SeenObject


def objects_message(header: Header, width: int, height: int, seen: Sequence[SeenObject]) -> DetectionArray:
    """The objects of one image.

    Args:
        header: of the image.
        width: of the image [pixel].
        height: of the image [pixel].
        seen: by falling score.
    """
    return DetectionArray(
        header=header,
        image_width=width,
        image_height=height,
        detections=[
            DetectionMessage(
                label=item.detection.label,
                class_id=int(item.detection.class_id),
                score=float(item.detection.score),
                roi=region(
                    (item.detection.x, item.detection.y, item.detection.width, item.detection.height), width, height
                ),
                track_id=item.track_id,
                bearing=_vector(item.bearing),
                distance=float(item.distance),
                distance_std=float(item.distance_std),
            )
            for item in seen
        ],
    )


def faces_message(header: Header, width: int, height: int, seen: Sequence[SeenFace]) -> FaceArray:
    """The faces of one image; arguments as for objects, faces nearest first."""
    return FaceArray(
        header=header, image_width=width, image_height=height, faces=[_face(f, width, height) for f in seen]
    )


def region(box: Sequence[float], width: int, height: int) -> RegionOfInterest:
    """The whole pixels that a box x, y, width, height touches, inside the image."""
    left, top = (min(max(0, math.floor(value)), limit) for value, limit in zip(box[:2], (width, height), strict=True))
    right, bottom = (
        min(max(0, math.ceil(start + size)), limit)
        for start, size, limit in zip(box[:2], box[2:4], (width, height), strict=True)
    )
    return RegionOfInterest(x_offset=left, y_offset=top, width=max(0, right - left), height=max(0, bottom - top))


def _face(face: SeenFace, width: int, height: int) -> Face:
    reading = face.reading
    return Face(
        track_id=face.track_id,
        score=float(reading.score),
        roi=region(reading.box, width, height),
        landmarks=[Point32(x=x, y=y, z=z) for x, y, z in reading.landmarks.tolist()],
        blendshapes=reading.blendshapes.astype(np.float32).tolist(),
        pose=fill_pose(Pose(), reading.pose) if reading.pose is not None else _unknown_pose(),
        bearing=_vector(face.bearing),
        gaze=_vector(face.gaze),
        distance=float(face.distance),
        looking_at_robot=bool(face.looking_at_robot),
    )


def _unknown_pose() -> Pose:
    nan = math.nan
    return Pose(position=Point(x=nan, y=nan, z=nan), orientation=Quaternion(x=nan, y=nan, z=nan, w=nan))


def _vector(vector: NDArray[np.float64]) -> Vector3:
    x, y, z = (float(value) for value in vector)
    return Vector3(x=x, y=y, z=z)
