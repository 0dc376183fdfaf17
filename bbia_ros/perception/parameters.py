"""The parameters of perception; config/perception.yaml has them with their defaults."""

from __future__ import annotations

from dataclasses import dataclass

from bbia_ros.ros.models import Engine, ModelParameters
from bbia_ros.ros.parameters import nested, param

OBJECT_ENGINES = {
    "onnx": Engine(
        "bbia_ros.perception.detect_onnx:OnnxDetector", "onnxruntime", "pip install -r requirements/models.txt"
    ),
    "ultralytics": Engine(
        "bbia_ros.perception.detect_ultralytics:UltralyticsDetector",
        "ultralytics",
        "make torch",
        nvidia=True,
        load_timeout_s=180.0,  # importing torch alone takes ten seconds where the disk is slow
    ),
}
BATCHING = ("ultralytics",)
"""Engines of OBJECT_ENGINES that search several images in one call (`detect_batch`)."""
FACE_ENGINES = {
    "mediapipe": Engine(
        "bbia_ros.perception.faces_mediapipe:MediaPipeFaces", "mediapipe", "pip install -r requirements/models.txt"
    )
}


@dataclass(frozen=True)
class ObjectParameters(ModelParameters):
    """Parameters objects.*: those of the model, and these."""

    enabled: bool = param(True, "objects are looked for", read_only=True)
    rate_hz: float = param(5.0, "at most so many images a second are searched [Hz]", minimum=0.1, maximum=60.0)
    min_score: float = param(0.35, "weakest detection that is reported", minimum=0.01, maximum=0.99, read_only=True)
    max_objects: int = param(20, "at most so many per image, best first", minimum=1, maximum=100, read_only=True)
    batch: int = param(
        1, "waiting images that are searched together, none of them skipped; 1: only the newest waits",
        minimum=1, maximum=16, read_only=True,
    )  # fmt: skip
    coast_s: float = param(
        1.5, "an object unseen for so long gets a new track_id when it comes back [s]", minimum=0.0, maximum=60.0,
        read_only=True,
    )  # fmt: skip


@dataclass(frozen=True)
class FaceParameters(ModelParameters):
    """Parameters faces.*: those of the model, and these."""

    enabled: bool = param(True, "faces are looked for", read_only=True)
    rate_hz: float = param(10.0, "at most so many images a second are searched [Hz]", minimum=0.1, maximum=60.0)
    min_score: float = param(
        0.7, "least confidence of the face detector in a face's own crop; portraits reach 0.8, textures up to 0.65",
        minimum=0.01, maximum=0.99, read_only=True,
    )  # fmt: skip
    max_faces: int = param(3, "at most so many per image, best first", minimum=1, maximum=10, read_only=True)
    coast_s: float = param(
        1.0, "a face unseen for so long gets a new track_id when it comes back [s]", minimum=0.0, maximum=60.0,
        read_only=True,
    )  # fmt: skip
    gaze_tolerance_deg: float = param(
        20.0, "a gaze within this angle of the camera looks at the robot [deg]", minimum=1.0, maximum=90.0
    )


@dataclass(frozen=True)
class PerceptionParameters:
    """All parameters of the node."""

    objects: ObjectParameters = nested(
        ObjectParameters, engine="onnx", model="bbia-tabletop-yolo26n", variants=("bbia-tabletop-yolo26n",),
        declared_mb=130.0,
    )  # fmt: skip
    faces: FaceParameters = nested(
        FaceParameters, engine="mediapipe", model="face-landmarker", variants=("face-landmarker",), declared_mb=115.0
    )
    camera_timeout_s: float = param(
        2.0, "a camera silent for so long is reported as a fault [s]", minimum=0.2, maximum=60.0
    )
    camera_start_s: float = param(
        8.0, "the same until the first image after activation: a camera may need time to start [s]",
        minimum=0.2, maximum=60.0,
    )  # fmt: skip
    call_timeout_s: float = param(
        10.0, "an engine that takes longer for one image is ended and started again [s]", minimum=0.5, maximum=120.0
    )
