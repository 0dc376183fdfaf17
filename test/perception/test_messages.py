"""Messages carry what was seen, with boxes inside the image and NaN for what is unknown."""

import math

import numpy as np
import pytest
from std_msgs.msg import Header

from bbia_ros.perception.detections import Detection
from bbia_ros.perception.faces import FaceReading
from bbia_ros.perception.messages import faces_message, objects_message, region
from bbia_ros.perception.scene import UNKNOWN, SeenFace, SeenObject


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((10.4, 20.6, 30.0, 10.0), (10, 20, 31, 11)),
        ((-5.0, -5.0, 20.0, 10.0), (0, 0, 15, 5)),
        ((300.0, 200.0, 100.0, 100.0), (300, 200, 20, 40)),
        ((400.0, -50.0, 10.0, 10.0), (320, 0, 0, 0)),
    ],
)
def test_a_region_is_the_box_inside_the_image(box, expected):
    roi = region(box, 320, 240)
    assert (roi.x_offset, roi.y_offset, roi.width, roi.height) == expected


def test_an_object_becomes_a_detection():
    seen = SeenObject(Detection("duck", 2, 0.75, 10.0, 20.0, 30.0, 40.0), 7, np.array([1.0, 0.0, 0.0]), 0.5, 0.03)
    header = Header(frame_id="camera_optical")
    message = objects_message(header, 320, 240, [seen])
    assert message.header == header
    (found,) = message.detections
    assert (found.label, found.class_id, found.track_id) == ("duck", 2, 7)
    assert (found.score, found.distance, found.distance_std) == pytest.approx((0.75, 0.5, 0.03))
    assert found.bearing.x == 1.0


def test_a_face_without_a_camera_has_no_place():
    reading = FaceReading(
        0.9, (10.0, 10.0, 20.0, 20.0), np.ones((478, 3), np.float32), np.full(52, 0.5, np.float32), None
    )
    (found,) = faces_message(Header(), 320, 240, [SeenFace(reading, 1, UNKNOWN, math.nan, UNKNOWN, False)]).faces
    assert len(found.landmarks) == 478
    assert list(found.blendshapes) == [0.5] * 52
    unknown = (found.pose.position.x, found.pose.orientation.w, found.bearing.x, found.gaze.z, found.distance)
    assert all(math.isnan(value) for value in unknown)
