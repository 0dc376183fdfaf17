"""Opens ONNX models for engines, in their worker: few threads that do not spin, no arena that keeps its peak."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class OnnxError(RuntimeError):
    """A model that onnxruntime cannot open here; the text says which file and why."""


def open_session(model: str, what: str, device: str = "cpu", threads: int = 1) -> Any:
    """Opens an ONNX model.

    Args:
        model: path of the file.
        what: of the model, for the error message, for instance "a Piper voice".
        device: cpu, cuda, or auto (cuda where onnxruntime offers it).
        threads: of one run, on the CPU.

    Raises:
        OnnxError: the file is not there or not a model, or onnxruntime has no such device.
    """
    import onnxruntime

    path = Path(model)
    if not path.is_file():
        raise OnnxError(f"there is no file {path} to load as {what}")
    providers = _providers(device, what, onnxruntime.get_available_providers())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    # Plans memory per input shape, and every sentence has another: 60 MB for a Piper voice, and no faster.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime raises types of its own for each way a file can be broken
        reason = str(error).strip().splitlines()[0]
        raise OnnxError(f"{path} ({path.stat().st_size} bytes) cannot be loaded as {what}: {reason}") from error


def _providers(device: str, what: str, available: list[str]) -> list[str]:
    cuda, cpu = "CUDAExecutionProvider", "CPUExecutionProvider"
    if device not in ("cpu", "cuda", "auto"):
        raise OnnxError(f"device must be cpu, cuda or auto, not '{device}'")
    if device == "cuda" and cuda not in available:
        raise OnnxError(f"{what} cannot run on cuda: pip install onnxruntime-gpu, or use cpu")
    return [cuda, cpu] if device != "cpu" and cuda in available else [cpu]
