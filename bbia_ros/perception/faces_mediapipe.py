"""Faces by MediaPipe Tasks: a short-range detector on overlapping squares, then landmarks on a crop of each face.

The face landmarker alone shrinks the whole picture to 128 pixels to find faces in it, which loses a person at a
table's distance in a 320x240 picture. So the same detector (it lies in the .task file) first searches the picture and
squares of two thirds of its height, less strictly than asked; then it judges each find again in a crop of its own,
where a face is as large as it likes, and that score counts; at last the landmarker must find the face there too.
Faces of 16 pixels and more are found, and what else in a picture resembles one is not taken for one. Every picture is
looked at afresh, so the same pictures give the same faces, in a replay too.

Needs mediapipe >= 0.10.30. Holds 97 to 112 MB of private memory (USS), Python included; on a busy 2-core server a
320x240 picture took 7 ms without a face and 18 ms with one.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bbia_ros.perception.blendshapes import NAMES
from bbia_ros.perception.faces import FaceReading, metric_pose
from bbia_ros.residency.placeholders import placeholders

LANDMARKS = 478
TASK_MEMBERS = (
    "face_detector.tflite",
    "face_landmarks_detector.tflite",
    "face_blendshapes.tflite",
    "geometry_pipeline_metadata_landmarks.binarypb",
)
"""What a face_landmarker.task with blendshapes and pose holds."""

TILE = 2.0 / 3.0
"""Side of the squares that are searched, as a part of the picture's height."""

CROP = 2.0
"""Side of a face's crop, as a multiple of its detection box: BlazeFace's box spans brows to chin."""

SEARCH = 0.6
"""Threshold of the search, as a part of the least score: a small face scores little in a large window."""

OVERLAP = 0.3
"""Two detections are the same face from this intersection over the smaller box on."""

Box = tuple[float, float, float, float]


class MediaPipeFaces:
    """Finds faces with 478 landmarks, 52 blendshapes and the head's pose.

    Owns the detector's and the landmarker's graphs; both go with the worker. Not thread-safe.
    """

    def __init__(
        self, model: str, device: str = "cpu", threads: int = 0, min_score: float = 0.7, max_faces: int = 3
    ) -> None:
        """Load the models and run them once.

        Args:
            model: path of a face_landmarker.task with blendshapes.
            device: "cpu", or "auto", which is the CPU too.
            threads: ignored: MediaPipe decides itself how many threads it runs, and offers no setting.
            min_score: least confidence of the detector in the crop of a face [0, 1]. Portraits of 16 pixels and more
                score 0.8 and more; textures, fur and the like up to 0.65.
            max_faces: at most so many faces, best score first.

        Raises:
            ValueError: the file is missing, truncated or of another kind, or the device is not offered; the text says
                which.
        """
        if device not in ("cpu", "auto"):
            raise ValueError(f"the mediapipe engine runs on the CPU only: faces.device '{device}' must be cpu or auto")
        path = Path(model)
        detector = _read_detector(path)
        self._min_score = min_score
        self._max_faces = max_faces
        with _quiet():
            self._mp = _import_mediapipe()
            vision, options = self._mp.tasks.vision, self._mp.tasks.BaseOptions
            try:
                self._detector = vision.FaceDetector.create_from_options(
                    vision.FaceDetectorOptions(
                        base_options=options(model_asset_buffer=detector), min_detection_confidence=SEARCH * min_score
                    )
                )
                self._landmarker = vision.FaceLandmarker.create_from_options(
                    vision.FaceLandmarkerOptions(
                        base_options=options(model_asset_path=str(path)),
                        output_face_blendshapes=True,
                        output_facial_transformation_matrixes=True,
                        num_faces=1,
                    )
                )
            except (RuntimeError, ValueError) as error:
                raise ValueError(f"face model {path}: MediaPipe cannot load it: {str(error).splitlines()[0]}") from None
            blank = np.zeros((64, 64, 3), dtype=np.uint8)
            self._detector.detect(self._image(blank))
            self._landmarker.detect(self._image(blank))
        self._chattered = False
        atexit.register(_mute)  # its native destructors chatter, too

    def faces(
        self, image: NDArray[np.uint8], intrinsics: tuple[float, float, float, float] | None = None
    ) -> list[FaceReading]:
        """Find the faces in a picture.

        Args:
            image: height x width x 3, uint8, RGB.
            intrinsics: fx, fy, cx, cy of the camera [pixel]; without them poses are None.

        Returns:
            Faces, best score first.

        Raises:
            ValueError: the picture has another shape or type.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise ValueError(f"a picture must be height x width x 3 of uint8, got {image.shape} of {image.dtype}")
        readings: list[FaceReading] = []
        for box in self._search(image):
            reading = self._read(image, box, intrinsics)
            if reading is not None and not any(_overlap(reading.box, other.box) > OVERLAP for other in readings):
                readings.append(reading)
            if len(readings) == self._max_faces:
                break
        return sorted(readings, key=lambda reading: -reading.score)

    def close(self) -> None:
        """Free the graphs."""
        self._landmarker.close()
        self._detector.close()

    def _image(self, pixels: NDArray[np.uint8]) -> Any:
        return self._mp.Image(image_format=self._mp.ImageFormat.SRGB, data=np.ascontiguousarray(pixels))

    def _detect(self, pixels: NDArray[np.uint8]) -> list[tuple[float, Box]]:
        found = []
        for detection in self._detector.detect(self._image(pixels)).detections:
            box = detection.bounding_box
            rectangle = (float(box.origin_x), float(box.origin_y), float(box.width), float(box.height))
            found.append((float(detection.categories[0].score), rectangle))
        return found

    def _search(self, image: NDArray[np.uint8]) -> list[Box]:
        """Boxes in the whole picture where a face may be, the likeliest first, at most four for each face asked for."""
        found: list[tuple[float, Box]] = []
        for x, y, width, height in search_windows(image.shape[1], image.shape[0]):
            for score, box in self._detect(image[y : y + height, x : x + width]):
                found.append((score, (x + box[0], y + box[1], box[2], box[3])))
        kept: list[Box] = []
        for _, candidate in sorted(found, key=lambda item: -item[0]):
            if not any(_overlap(candidate, other) > OVERLAP for other in kept):
                kept.append(candidate)
        return kept[: 4 * self._max_faces]

    def _read(
        self, image: NDArray[np.uint8], box: Box, intrinsics: tuple[float, float, float, float] | None
    ) -> FaceReading | None:
        """The face in a box; None where a closer look shows none."""
        crop, x0, y0 = crop_square(image, box, CROP)
        score = max((score for score, _ in self._detect(crop)), default=0.0)
        if score < self._min_score:
            return None
        with contextlib.nullcontext() if self._chattered else _quiet():
            result = self._landmarker.detect(self._image(crop))
        if not result.face_landmarks:
            return None
        self._chattered = True
        side = float(crop.shape[0])
        points = np.array([(p.x, p.y, p.z) for p in result.face_landmarks[0]], dtype=np.float32) * side
        points[:, 0] += x0
        points[:, 1] += y0
        shapes = np.array([shape.score for shape in result.face_blendshapes[0]], dtype=np.float32)
        if points.shape != (LANDMARKS, 3) or shapes.shape != (len(NAMES),):
            raise ValueError(
                f"the face model gave {len(points)} landmarks and {len(shapes)} blendshapes,"
                f" not {LANDMARKS} and {len(NAMES)}: it is of another version"
            )
        low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
        pose = None
        if intrinsics is not None:
            pose = metric_pose(result.facial_transformation_matrixes[0], points, intrinsics)
        return FaceReading(
            score=score,
            box=(float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])),
            landmarks=points,
            blendshapes=np.clip(shapes, 0.0, 1.0),
            pose=pose,
        )


def search_windows(width: int, height: int) -> list[tuple[int, int, int, int]]:
    """The windows that the detector looks at: the whole picture, then squares of TILE that overlap by half or more.

    Returns:
        x, y, width, height of each [pixel].
    """
    side = max(1, round(TILE * height))
    if side >= width:
        return [(0, 0, width, height)]

    def starts(length: int) -> list[int]:
        count = 1 + math.ceil((length - side) / (side / 2.0))
        return [round(index * (length - side) / max(1, count - 1)) for index in range(count)]

    return [(0, 0, width, height), *((x, y, side, side) for y in starts(height) for x in starts(width))]


def crop_square(image: NDArray[np.uint8], box: Box, factor: float) -> tuple[NDArray[np.uint8], int, int]:
    """Cut a square of `factor` times a box's longer side about its middle; black beyond the picture's border.

    Returns:
        The square, and the x and y of its upper left corner in the picture [pixel].
    """
    x, y, width, height = box
    side = max(8, round(factor * max(width, height)))
    x0, y0 = round(x + width / 2.0 - side / 2.0), round(y + height / 2.0 - side / 2.0)
    square = np.zeros((side, side, 3), dtype=np.uint8)
    left, top = max(0, x0), max(0, y0)
    right, bottom = min(image.shape[1], x0 + side), min(image.shape[0], y0 + side)
    if right > left and bottom > top:
        square[top - y0 : bottom - y0, left - x0 : right - x0] = image[top:bottom, left:right]
    return square, x0, y0


def _overlap(first: Box, second: Box) -> float:
    """Intersection over the smaller of two boxes."""
    width = min(first[0] + first[2], second[0] + second[2]) - max(first[0], second[0])
    height = min(first[1] + first[3], second[1] + second[3]) - max(first[1], second[1])
    smaller = min(first[2] * first[3], second[2] * second[3])
    return max(0.0, width) * max(0.0, height) / smaller if smaller > 0.0 else 0.0


def _read_detector(path: Path) -> bytes:
    """The detector inside a .task file, which must be whole."""
    if not path.is_file():
        raise ValueError(f"face model {path} does not exist")
    try:
        with zipfile.ZipFile(path) as task:
            missing = [name for name in TASK_MEMBERS if name not in task.namelist()]
            if missing:
                raise ValueError(f"face model {path} lacks {', '.join(missing)}: a face_landmarker.task is needed")
            return task.read(TASK_MEMBERS[0])
    except (zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"face model {path} is truncated or not a .task file ({error}); install it again") from None


def _import_mediapipe() -> Any:
    """Imports mediapipe without cv2 and matplotlib (60 MB), which only its drawing functions use."""
    with placeholders("cv2", "matplotlib", "matplotlib.pyplot"):
        import mediapipe
        import mediapipe.tasks.python

        return mediapipe


def _mute() -> None:
    """Send stderr nowhere for the rest of the process."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the native chatter of MediaPipe's first calls off stderr; Python's errors pass as usual."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    sys.stderr.flush()
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
