"""onnxruntime set up for a machine that is busy with other things: few threads that do not spin, no growing arena."""

from __future__ import annotations

from typing import Any


def open_session(model: str, device: str, threads: int, what: str) -> Any:
    """Opens an ONNX model.

    Args:
        model: path of the file.
        device: cpu, cuda, or auto (cuda where onnxruntime offers it).
        threads: of one run.
        what: of the model, for the error message, for instance "a Piper voice".

    Raises:
        RuntimeError: the file is not a model, or onnxruntime has no such device.
    """
    import onnxruntime

    on_cuda = device != "cpu" and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "cuda" and not on_cuda:
        raise RuntimeError(f"{what} cannot run on cuda: this onnxruntime has no CUDA, pip install onnxruntime-gpu")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    # Plans memory per input shape, and every sentence has another: 60 MB for a Piper voice, and no faster.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"] if on_cuda else ["CPUExecutionProvider"]
    try:
        return onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:  # onnxruntime raises classes of its own that no caller knows
        raise RuntimeError(f"{model} cannot be loaded as {what}: {error}") from error
