"""Objects with onnxruntime: any YOLO detector that ultralytics exported to ONNX.

Runs in a worker process; onnxruntime is imported by the constructor. The shipped YOLO26n at 320 px holds about 115 MB
of private memory there and takes about 9 ms an image on two x86 cores without other load.
"""

from __future__ import annotations

import ast
from typing import Any

import numpy as np

from bbia_ros.perception import yolo
from bbia_ros.perception.detections import Detection
from bbia_ros.perception.letterbox import check_image, letterbox
from bbia_ros.residency.onnx_session import OnnxError, open_session


class DetectorError(ValueError):
    """A model that cannot be used as a detector here; the text says which file and why."""


class OnnxDetector:
    """A loaded detector. Owns one onnxruntime session and one input buffer; not thread-safe."""

    def __init__(
        self,
        model: str,
        device: str = "cpu",
        score_threshold: float = 0.35,
        threads: int = 2,
        input_size: int | None = None,
    ) -> None:
        """Loads the model.

        Args:
            model: path of the .onnx file.
            device: cpu, cuda, or auto (cuda where onnxruntime has it).
            score_threshold: weakest detection that is reported, in [0, 1].
            threads: threads of onnxruntime on the CPU.
            input_size: side of the square input [pixel]; None takes the model's own.

        Raises:
            DetectorError: the file is missing, truncated, not ONNX or not a detector, or an argument does not fit it.
        """
        if not 0.0 <= score_threshold <= 1.0:
            raise DetectorError(f"score_threshold must be between 0 and 1, not {score_threshold}")
        self._threshold = score_threshold
        try:
            self._session = open_session(model, "a detector", device, threads)
        except OnnxError as error:
            raise DetectorError(str(error)) from error
        metadata = self._session.get_modelmeta().custom_metadata_map
        self._names = _class_names(metadata, model)
        entry = self._session.get_inputs()[0]
        height, width = _input_size(list(entry.shape), metadata, input_size, model)
        self._input_name = entry.name
        self._buffer = np.empty((1, 3, height, width), np.float32)
        output = self._session.run(None, {self._input_name: np.zeros_like(self._buffer)})[0]
        form = yolo.is_end_to_end(output.shape, len(self._names))
        if form is None:
            raise DetectorError(
                f"{model} is not a YOLO detector for {len(self._names)} classes: it gives {output.shape}"
            )
        self._end_to_end = form

    @property
    def names(self) -> dict[int, str]:
        """Class names by index."""
        return dict(self._names)

    def detect(self, image: np.ndarray) -> list[Detection]:
        """Finds objects in one image.

        Args:
            image: H x W x 3 uint8 RGB, any size.

        Returns:
            detections in the image's pixels by falling score, at most 100.

        Raises:
            ValueError: the image has another shape or type.
            RuntimeError: the detector is closed.
        """
        if self._session is None:
            raise RuntimeError("the detector is closed")
        image = check_image(image)
        placed = letterbox(image, self._buffer[0])
        output = self._session.run(None, {self._input_name: self._buffer})[0][0]
        read = yolo.read_end_to_end if self._end_to_end else yolo.read_classic
        boxes, scores, classes = read(output, self._threshold)
        return yolo.to_image(boxes, scores, classes, placed, (image.shape[0], image.shape[1]), self._names)

    def close(self) -> None:
        """Frees the session."""
        self._session = None


def _class_names(metadata: dict[str, str], model: str) -> dict[int, str]:
    task = metadata.get("task", "detect")
    if task != "detect":
        raise DetectorError(f"{model} is made for '{task}', not for detection")
    try:
        names = ast.literal_eval(metadata["names"])
        return {int(index): str(name) for index, name in names.items()}
    except (KeyError, ValueError, SyntaxError, AttributeError) as error:
        raise DetectorError(
            f"{model} does not carry class names: export it with ultralytics (yolo export format=onnx)"
        ) from error


def _input_size(shape: list[Any], metadata: dict[str, str], wanted: int | None, model: str) -> tuple[int, int]:
    """Height and width of the input: the model's fixed ones, else the wanted or the trained size."""
    if len(shape) != 4 or shape[1] not in (3, "channels"):
        raise DetectorError(f"{model} is not a detector of RGB images: its input is {shape}")
    if isinstance(shape[0], int) and shape[0] != 1:
        raise DetectorError(f"{model} takes batches of {shape[0]} only: export it with batch=1")
    if isinstance(shape[2], int) and isinstance(shape[3], int):
        if wanted is not None and (wanted, wanted) != (shape[2], shape[3]):
            raise DetectorError(f"{model} takes {shape[3]} x {shape[2]} images only; input_size asks for {wanted}")
        return shape[2], shape[3]
    if wanted is not None:
        return wanted, wanted
    try:
        height, width = ast.literal_eval(metadata["imgsz"])
        return int(height), int(width)
    except (KeyError, ValueError, SyntaxError, TypeError) as error:
        raise DetectorError(f"{model} does not say its input size: set input_size") from error
