from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixed_model import END_TO_END, NAMES, write_model

from bbia_ros.perception.detect_onnx import DetectorError, OnnxDetector
from bbia_ros.perception.detections import Detection

IMAGE = np.zeros((240, 320, 3), np.uint8)

CLASSIC = np.zeros((1, 7, 2100), np.float32)
CLASSIC[0, :, 5] = [120, 105, 40, 30, 0.0, 0.0, 0.9]
CLASSIC[0, :, 6] = [121, 105, 40, 30, 0.0, 0.0, 0.8]


@pytest.mark.parametrize("output", [END_TO_END, CLASSIC], ids=["end-to-end", "classic"])
def test_both_forms_of_output_give_the_same_detection(tmp_path: Path, output: np.ndarray) -> None:
    detector = OnnxDetector(write_model(tmp_path / "m.onnx", output))
    score = float(np.float32(0.9))
    assert detector.detect(IMAGE) == [Detection("duck", 2, score, 100.0, 50.0, 40.0, 30.0)]
    detector.close()


def test_detections_are_in_the_pixels_of_the_image_that_was_given(tmp_path: Path) -> None:
    detector = OnnxDetector(write_model(tmp_path / "m.onnx", END_TO_END))
    (duck,) = detector.detect(np.zeros((480, 640, 3), np.uint8))
    assert (duck.x, duck.y, duck.width, duck.height) == (200.0, 100.0, 80.0, 60.0)
    assert duck.centre == (240.0, 130.0)
    assert pickle.loads(pickle.dumps(duck)) == duck
    detector.close()


def test_the_threshold_decides_what_is_reported(tmp_path: Path) -> None:
    detector = OnnxDetector(write_model(tmp_path / "m.onnx", END_TO_END), score_threshold=0.25)
    assert [d.label for d in detector.detect(IMAGE)] == ["duck", "apple"]
    detector.close()


def test_a_wrong_image_is_refused_and_the_next_is_answered(tmp_path: Path) -> None:
    detector = OnnxDetector(write_model(tmp_path / "m.onnx", END_TO_END))
    with pytest.raises(ValueError, match="uint8 RGB, not 240 x 320 uint8"):
        detector.detect(IMAGE[..., 0])
    assert len(detector.detect(IMAGE)) == 1
    detector.close()


def test_a_closed_detector_says_so(tmp_path: Path) -> None:
    detector = OnnxDetector(write_model(tmp_path / "m.onnx", END_TO_END))
    detector.close()
    detector.close()
    with pytest.raises(RuntimeError, match="closed"):
        detector.detect(IMAGE)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"no file .*gone\.onnx"):
        OnnxDetector(str(tmp_path / "gone.onnx"))


def test_a_truncated_file_is_named_with_its_size(tmp_path: Path) -> None:
    whole = Path(write_model(tmp_path / "m.onnx", END_TO_END)).read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DetectorError, match=rf"cut\.onnx \({len(whole) // 2} bytes\) cannot be loaded as a detector"):
        OnnxDetector(str(tmp_path / "cut.onnx"))


@pytest.mark.parametrize(
    ("output", "metadata", "says"),
    [
        (np.zeros((1, 1000), np.float32), None, "not a YOLO detector"),
        (END_TO_END, {}, "class names"),
        (END_TO_END, {"names": "['apple'"}, "class names"),
        (END_TO_END, {"names": NAMES, "task": "segment"}, "segment"),
    ],
)
def test_a_model_that_is_no_detector_is_refused(
    tmp_path: Path, output: np.ndarray, metadata: dict[str, str] | None, says: str
) -> None:
    with pytest.raises(DetectorError, match=says):
        OnnxDetector(write_model(tmp_path / "m.onnx", output, metadata))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"device": "tpu"}, "cpu, cuda or auto"),
        ({"score_threshold": 1.5}, "between 0 and 1"),
        ({"input_size": 640}, "320 x 320"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(tmp_path: Path, arguments: dict[str, Any], says: str) -> None:
    model = write_model(tmp_path / "m.onnx", END_TO_END)
    with pytest.raises(DetectorError, match=says):
        OnnxDetector(model, **arguments)


def test_a_flexible_model_takes_its_trained_size_or_the_one_asked_for(tmp_path: Path) -> None:
    shape = (1, 3, "height", "width")
    metadata = {"names": NAMES, "imgsz": "[320, 320]"}
    model = write_model(tmp_path / "m.onnx", END_TO_END, metadata, shape)
    trained, asked = OnnxDetector(model), OnnxDetector(model, input_size=640)
    assert trained.detect(IMAGE)[0].width == 40.0
    assert asked.detect(IMAGE)[0].width == 20.0
    unknown = write_model(tmp_path / "n.onnx", END_TO_END, {"names": NAMES}, shape)
    with pytest.raises(DetectorError, match="set input_size"):
        OnnxDetector(unknown)
