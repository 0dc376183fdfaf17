from __future__ import annotations

import shutil
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bbia_ros.perception import yolo
from bbia_ros.perception.detect_onnx import DetectorError, OnnxDetector
from bbia_ros.perception.detect_ultralytics import UltralyticsDetector, check_checkpoint, survivors
from bbia_ros.perception.detections import Detection
from bbia_ros.residency.catalog import resolve

WEIGHTS = str(resolve("bbia-tabletop-yolo26n-pt", "objects"))
EXPORTED = str(resolve("bbia-tabletop-yolo26n", "objects"))


def scenes() -> list[np.ndarray]:
    """The five held-out scenes of the first row in the detector's picture, as far as they come apart: its tiles."""
    picture = np.asarray(Image.open(Path(__file__).parents[2] / "docs" / "images" / "detector.jpg").convert("RGB"))
    return [picture[0:240, x : x + 320] for x in range(0, picture.shape[1] - 319, 320)]


@pytest.fixture(scope="module")
def detector() -> UltralyticsDetector:
    return UltralyticsDetector(WEIGHTS, threads=1, score_threshold=0.3)


def close(a: Detection, b: Detection) -> bool:
    numbers = [(one.score, one.x, one.y, one.width, one.height) for one in (a, b)]
    return a.label == b.label and np.allclose(numbers[0], numbers[1], rtol=1e-3, atol=0.05)


@pytest.mark.heavy
def test_finds_what_the_exported_network_finds(detector: UltralyticsDetector) -> None:
    exported = OnnxDetector(EXPORTED, threads=1, score_threshold=0.3)
    found = [(detector.detect(scene), exported.detect(scene)) for scene in scenes()]
    assert sum(len(theirs) for _, theirs in found) >= 5
    for ours, theirs in found:
        assert len(ours) == len(theirs)
        assert all(close(a, b) for a, b in zip(ours, theirs, strict=True))
    assert detector.names == exported.names


@pytest.mark.heavy
def test_a_batch_finds_what_single_images_give(detector: UltralyticsDetector) -> None:
    images = [*scenes()[:2], np.zeros((90, 50, 3), np.uint8)]
    together = detector.detect_batch(images)
    alone = [detector.detect(image) for image in images]
    assert [len(found) for found in together] == [len(found) for found in alone]
    for a, b in zip(chain(*together), chain(*alone), strict=True):
        assert close(a, b)
    assert detector.detect_batch([]) == []


@pytest.mark.heavy
def test_wrong_images_and_a_closed_detector_are_refused(detector: UltralyticsDetector) -> None:
    with pytest.raises(ValueError, match="uint8 RGB, not 240 x 320 uint8"):
        detector.detect_batch([scenes()[0], scenes()[0][..., 0]])
    gone = UltralyticsDetector(WEIGHTS, threads=1)
    gone.close()
    with pytest.raises(RuntimeError, match="closed"):
        gone.detect(scenes()[0])


@pytest.mark.heavy
@pytest.mark.parametrize("end_to_end", [True, False])
def test_boxes_on_the_device_are_those_that_numpy_keeps(end_to_end: bool) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    count, classes = 120, 3
    centres = rng.uniform(0, 300, (2, count)).astype(np.float32)
    sizes = rng.uniform(60, 90, (2, count)).astype(np.float32)
    if end_to_end:
        rows = [
            *(centres - sizes / 2),
            *(centres + sizes / 2),
            rng.uniform(0, 1, count),
            rng.integers(0, classes, count),
        ]
        output = np.stack(rows, axis=1).astype(np.float32)
        strong = output[:, 4] >= 0.4
        boxes, scores, kinds = yolo.read_end_to_end(output, 0.4)
    else:
        output = np.concatenate([centres, sizes, rng.uniform(0, 0.7, (classes, count))]).astype(np.float32)
        strong = output[4:].max(axis=0) >= 0.4
        boxes, scores, kinds = yolo.read_classic(output, 0.4)
    kept = survivors(torch, torch.from_numpy(output)[None], end_to_end, 0.4)[0].numpy()
    kept = kept[kept[:, 4] > 0]
    assert 20 < len(scores) < min(strong.sum(), 100)  # there were doubles, and nothing was cut off
    np.testing.assert_allclose(kept[:, :4], boxes, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(kept[:, 4], scores)
    assert kept[:, 5].tolist() == kinds.tolist()


def test_paths_that_are_no_checkpoint_are_refused_without_torch(tmp_path: Path) -> None:
    (tmp_path / "empty.pt").touch()
    (tmp_path / "text.pt").write_text("weights")
    for name, says in [
        (".", "is a folder"),
        ("gone.pt", "no file .*gone.pt"),
        ("empty.pt", r"empty.pt \(0 bytes\) is not a torch checkpoint"),
        ("text.pt", "not a torch checkpoint"),
    ]:
        with pytest.raises(DetectorError, match=says):
            check_checkpoint(str(tmp_path / name))
    with pytest.raises(DetectorError, match="set the engine to onnx"):
        check_checkpoint(EXPORTED)


@pytest.mark.heavy
def test_damaged_and_foreign_checkpoints_are_refused_in_one_sentence(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    whole = Path(WEIGHTS).read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    torch.save({"model": torch.nn.Linear(2, 2).state_dict()}, tmp_path / "other.pt")
    torch.save(_Malicious(tmp_path / "harmed"), tmp_path / "evil.pt")
    for name in ("cut.pt", "other.pt", "evil.pt"):
        with pytest.raises(
            DetectorError, match=rf"{name} \(\d+ bytes\) cannot be loaded as a YOLO detector: \S"
        ) as caught:
            UltralyticsDetector(str(tmp_path / name), threads=1)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "harmed").exists()


class _Malicious:
    """Unpickled without care it would leave a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.mark,)


@pytest.mark.heavy
def test_names_that_do_not_fit_the_classes_are_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    content = torch.load(WEIGHTS, map_location="cpu", weights_only=False)
    content["model"].names = {0: "apple", 1: "duck"}
    torch.save(content, tmp_path / "names.pt")
    with pytest.raises(DetectorError, match="finds 3 classes and names 2"):
        UltralyticsDetector(str(tmp_path / "names.pt"), threads=1)


@pytest.mark.heavy
def test_arguments_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    shutil.copy(WEIGHTS, tmp_path / "m.pt")
    for arguments, says in [
        ({"score_threshold": 1.5}, "between 0 and 1"),
        ({"input_size": 300}, "multiple of 32"),
        ({"device": "tpu"}, "cpu, cuda or auto"),
    ]:
        with pytest.raises((DetectorError, RuntimeError), match=says):
            UltralyticsDetector(str(tmp_path / "m.pt"), **arguments)  # type: ignore[arg-type]
