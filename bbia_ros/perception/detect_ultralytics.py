"""Objects with ultralytics on torch: the .pt weights of any YOLO detector, on the CPU or a GPU.

Runs in a worker process; torch and ultralytics are imported by the constructor. ultralytics (AGPL-3.0) reads the
checkpoint and runs the network; images are fitted and boxes read here, with the same rules as `detect_onnx`.
Checkpoints are pickles: only the classes that ultralytics lists as safe are accepted, so a file cannot run code of its
own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bbia_ros.perception import yolo
from bbia_ros.perception.detect_onnx import DetectorError
from bbia_ros.perception.detections import Detection
from bbia_ros.perception.letterbox import check_image, letterbox
from bbia_ros.residency.torch_device import first_line, give_back, import_library, open_torch

CHECKPOINT_STARTS = (b"PK\x03\x04", b"\x80\x02")
"""First bytes of what torch.save writes: a zip archive, or before torch 1.6 a pickle."""
CANDIDATES = 300
"""Boxes per image that are compared for doubles, best first; also the length of an end-to-end head's answer."""
STRIDE = 32
"""The input's sides must be multiples of this [pixel]."""


class UltralyticsDetector:
    """A loaded detector. Owns the network on its device; not thread-safe."""

    def __init__(
        self,
        model: str,
        device: str = "cpu",
        score_threshold: float = 0.35,
        threads: int = 2,
        input_size: int | None = None,
    ) -> None:
        """Loads the weights, joins convolutions with their normalisations and runs once.

        Args:
            model: path of the .pt file.
            device: cpu, cuda, or auto (cuda where torch sees a GPU).
            score_threshold: weakest detection that is reported, in [0, 1].
            threads: threads of torch on the CPU.
            input_size: side of the square input [pixel], a multiple of 32; None takes the one of the training.

        Raises:
            DetectorError: the file is missing, truncated, no checkpoint or not a detector, or an argument does not fit.
            TorchUnusable: torch or ultralytics is missing or broken, or there is no such device.
        """
        if not 0.0 <= score_threshold <= 1.0:
            raise DetectorError(f"score_threshold must be between 0 and 1, not {score_threshold}")
        path = check_checkpoint(model)
        self._threshold = score_threshold
        self._torch, self._device = open_torch(device, threads)
        self._model, self._names = _load(path, self._device)
        side = _input_size(self._model, input_size, path)
        self._input_size = (side, side)
        self._end_to_end = False
        output = self._forward(np.zeros((1, 3, side, side), np.float32))
        form = yolo.is_end_to_end(tuple(output.shape), len(self._names))
        if form is None:
            raise DetectorError(f"{path} is not a YOLO detector for {len(self._names)} classes")
        self._end_to_end = form

    @property
    def names(self) -> dict[int, str]:
        """Class names by index."""
        return dict(self._names)

    def detect(self, image: np.ndarray) -> list[Detection]:
        """Finds objects in one image; argument, result and errors are those of `OnnxDetector.detect`."""
        return self.detect_batch([image])[0]

    def detect_batch(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        """Finds objects in several images with one pass through the network.

        Args:
            images: each H x W x 3 uint8 RGB, any sizes.

        Returns:
            for each image what `detect` would give.

        Raises:
            ValueError: an image has another shape or type; none is looked at then.
            RuntimeError: the detector is closed.
        """
        if self._model is None:
            raise RuntimeError("the detector is closed")
        checked = [check_image(image) for image in images]
        if not checked:
            return []
        batch = np.empty((len(checked), 3, *self._input_size), np.float32)
        placed = [letterbox(image, batch[index]) for index, image in enumerate(checked)]
        kept = survivors(self._torch, self._forward(batch), self._end_to_end, self._threshold)
        found = kept.cpu().numpy()  # the one transfer
        results = []
        for rows, fit, image in zip(found, placed, checked, strict=True):
            rows = rows[rows[:, 4] > 0.0]
            size = (image.shape[0], image.shape[1])
            classes = rows[:, 5].astype(np.int64)
            results.append(yolo.to_image(rows[:, :4], rows[:, 4], classes, fit, size, self._names))
        return results

    def close(self) -> None:
        """Frees the network and, on a GPU, its memory."""
        self._model = None
        give_back(self._device)

    def _forward(self, batch: np.ndarray) -> Any:
        with self._torch.inference_mode():
            answer = self._model(self._torch.from_numpy(batch).to(self._device))
        return answer[0] if isinstance(answer, (tuple, list)) else answer


def survivors(torch: Any, output: Any, end_to_end: bool, threshold: float) -> Any:
    """What `yolo.read_end_to_end` and `read_classic` keep, found on the output's own device without a transfer.

    Args:
        torch: the module.
        output: B x N x 6 (end-to-end) or B x (4 + classes) x N (classic).
        end_to_end: which of them.
        threshold: weakest score.

    Returns:
        B x M x 6 (x1, y1, x2, y2, score, class), best first, M at most MAX_DETECTIONS; dropped: score 0.
    """
    with torch.inference_mode():
        rows = output.float() if end_to_end else _corners(torch, output.float())
        scores, order = rows[..., 4].sort(dim=1, descending=True, stable=True)
        count = min(rows.shape[1], CANDIDATES)
        if output.device.type == "cpu":  # elsewhere this number would be a transfer of its own
            count = min(count, int((scores >= threshold).sum(dim=1).max()))
        rows = rows.gather(1, order[:, :count, None].expand(-1, -1, 6))
        alive = rows[..., 4] >= threshold
        doubles = _doubles(torch, rows)
        for best in range(count):
            alive = alive & ~(doubles[:, best] & alive[:, best, None])
        rows = torch.cat([rows[..., :4], (rows[..., 4] * alive)[..., None], rows[..., 5:]], dim=2)
        first = rows[..., 4].argsort(dim=1, descending=True, stable=True)[:, : yolo.MAX_DETECTIONS]
        return rows.gather(1, first[..., None].expand(-1, -1, 6))


def _corners(torch: Any, output: Any) -> Any:
    """Rows (x1, y1, x2, y2, best score, its class) of a classic output with centres, sizes and a score per class."""
    score, index = output[:, 4:].max(dim=1, keepdim=True)
    centre, half = output[:, 0:2], 0.5 * output[:, 2:4]
    return torch.cat([centre - half, centre + half, score, index.to(score.dtype)], dim=1).transpose(1, 2)


def _doubles(torch: Any, rows: Any) -> Any:
    """B x K x K: whether box j (column) is a double of the better box i (row)."""
    corner = torch.maximum(rows[:, :, None, :2], rows[:, None, :, :2])
    opposite = torch.minimum(rows[:, :, None, 2:4], rows[:, None, :, 2:4])
    common = (opposite - corner).clamp(min=0.0).prod(dim=3)
    areas = (rows[..., 2:4] - rows[..., :2]).prod(dim=2)
    union = (areas[:, :, None] + areas[:, None, :] - common).clamp(min=1e-9)
    same = rows[:, :, None, 5] == rows[:, None, :, 5]
    return ((common / union > yolo.OVERLAP_LIMIT) & same).triu(diagonal=1)


def check_checkpoint(model: str) -> Path:
    """The path, when it leads to a file that starts like a torch checkpoint. Imports nothing heavy.

    Raises:
        DetectorError: it is missing, a folder, empty, or something else; the text says what.
    """
    path = Path(model)
    if path.is_dir():
        raise DetectorError(f"{path} is a folder; give the path of a .pt file")
    if not path.is_file():
        raise DetectorError(f"there is no file {path} to load as a detector")
    if path.suffix == ".onnx":
        raise DetectorError(f"{path} is an ONNX model: set the engine to onnx, or give the path of a .pt file")
    with path.open("rb") as file:
        start = file.read(4)
    if path.suffix != ".pt" or not start.startswith(CHECKPOINT_STARTS):
        raise DetectorError(f"{path} ({path.stat().st_size} bytes) is not a torch checkpoint (.pt) of a YOLO detector")
    return path


def _load(path: Path, device: Any) -> tuple[Any, dict[int, str]]:
    """The network in inference form, and its class names."""
    tasks = import_library("ultralytics.nn.tasks")
    tasks.SAFE_LOAD = True  # what ULTRALYTICS_SAFE_LOAD sets at import, wherever the import came first
    try:
        model, _ = tasks.load_checkpoint(str(path))
        if getattr(model.model[-1], "one2one_cv2", None) is not None:
            model.end2end = True  # the head that needs no suppression; fusing drops the other one
        model = model.fuse(verbose=False).to(device)
    except Exception as error:  # ultralytics and torch raise half a dozen types for the ways a file can be broken
        what = f"{path} ({path.stat().st_size} bytes)"
        raise DetectorError(f"{what} cannot be loaded as a YOLO detector: {first_line(error)}") from error
    task = getattr(model, "task", "")
    if task != "detect":
        raise DetectorError(f"{path} is made for '{task or 'something else'}', not for detection")
    names = getattr(model, "names", None)
    names = dict(enumerate(names)) if isinstance(names, (list, tuple)) else names
    classes = getattr(model.model[-1], "nc", None)
    if not isinstance(names, dict) or len(names) != classes:
        raise DetectorError(f"{path} finds {classes} classes and names {len(names or ())}: it cannot be used")
    return model, {int(index): str(name) for index, name in names.items()}


def _input_size(model: Any, wanted: int | None, path: Path) -> int:
    """Side of the square input: the wanted or the trained one."""
    side = wanted if wanted is not None else model.args.get("imgsz", 640)
    if not isinstance(side, int) or side < STRIDE or side % STRIDE:
        raise DetectorError(f"input_size of {path} must be a multiple of {STRIDE} pixels, not {side}")
    return side
