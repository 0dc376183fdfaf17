from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from bbia_ros.residency.torch_device import TorchUnusable, import_library, open_torch


def test_a_missing_library_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TorchUnusable, match="torch_of_tomorrow is not installed: make torch"):
        import_library("torch_of_tomorrow")


def test_a_library_that_lacks_another_or_breaks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "half_torch.py").write_text("import the_other_half")
    (tmp_path / "broken_torch.py").write_text("raise RuntimeError('operator torchvision::nms does not exist\\nmore')")
    importlib.invalidate_caches()
    with pytest.raises(TorchUnusable, match="half_torch needs the_other_half, which is not installed"):
        import_library("half_torch")
    with pytest.raises(TorchUnusable, match=r"cannot be imported \(operator torchvision::nms does not exist\)"):
        import_library("broken_torch")


@pytest.mark.heavy
def test_a_gpu_that_is_not_there_is_refused_and_auto_takes_the_cpu() -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        assert open_torch("auto", 1)[1].type == "cuda"
        return
    with pytest.raises(TorchUnusable, match=r"device is 'cuda', but .*: use cpu or auto"):
        open_torch("cuda", 1)
    assert open_torch("auto", 1)[1].type == "cpu"
    with pytest.raises(TorchUnusable, match="cpu, cuda or auto, not 'tpu'"):
        open_torch("tpu", 1)


@pytest.mark.heavy
def test_engines_that_need_no_torch_do_not_import_it() -> None:
    """Some of their libraries use torch where it is installed; then every worker would grow by half a gigabyte."""
    code = (
        "import sys, faster_whisper, mediapipe, piper, xllamacpp, onnxruntime\n"
        "from bbia_ros.speech.stt_whisper import WhisperEngine\n"
        "from bbia_ros.residency.catalog import resolve\n"
        "WhisperEngine(str(resolve('whisper-tiny', 'stt')), threads=1)\n"
        "print(sorted({'torch', 'transformers', 'ultralytics'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout.splitlines()[-1] == "[]"
