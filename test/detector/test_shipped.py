from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bbia_ros.perception.detect_onnx import OnnxDetector
from bbia_ros.residency.catalog import resolve
from tools.train_detector import CLASS_NAMES
from tools.train_detector.evaluation import measure

SOURCE = Path(__file__).resolve().parents[2]
FOLDER = SOURCE / "models" / "detector"


def test_what_ships_is_what_its_description_says() -> None:
    description = json.loads((FOLDER / "model.json").read_text())
    assert tuple(description["classes"]) == CLASS_NAMES
    for name, checksum in description["sha256"].items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == checksum, name
    assert (FOLDER / "bbia-tabletop-yolo26n.onnx").stat().st_size <= 10_000_000
    assert sum((FOLDER / name).stat().st_size for name in description["sha256"]) <= 16_000_000
    assert "AFFERO" in (FOLDER / "LICENSE").read_text()


def test_the_shipped_detector_knows_its_classes() -> None:
    detector = OnnxDetector(str(resolve("bbia-tabletop-yolo26n", "objects")))
    assert tuple(detector.names.values()) == CLASS_NAMES
    detector.close()


@pytest.mark.heavy
def test_the_shipped_detector_finds_the_objects_of_held_out_scenes() -> None:
    figures, _ = measure(resolve("bbia-tabletop-yolo26n", "objects"), scenes=30, first=500)
    assert figures.labels > 60
    assert figures.map50 >= 0.85


@pytest.mark.heavy
def test_measuring_the_detector_needs_no_torch() -> None:
    program = (
        f"import sys; sys.path.append({str(SOURCE)!r}); import tools.train_detector.evaluation as e; "
        "assert e.OnnxDetector; sys.exit('torch' in sys.modules or 'ultralytics' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, timeout=60)
