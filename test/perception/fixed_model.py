"""Networks that answer the same whatever they see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

NAMES = "{0: 'apple', 1: 'croissant', 2: 'duck'}"

END_TO_END = np.zeros((1, 300, 6), np.float32)
END_TO_END[0, 0] = [100, 90, 140, 120, 0.9, 2]
END_TO_END[0, 1] = [10, 50, 30, 80, 0.3, 0]


def write_model(
    path: Path,
    output: np.ndarray,
    metadata: dict[str, str] | None = None,
    input_shape: tuple[Any, ...] = (1, 3, 320, 320),
) -> str:
    """A network that answers the same whatever it sees."""
    onnx = pytest.importorskip("onnx")
    helper, float_type = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["answer", "nothing"], ["output0"]),
    ]
    constants = [onnx.numpy_helper.from_array(output, "answer"), onnx.numpy_helper.from_array(np.float32(0.0), "zero")]
    graph = helper.make_graph(
        nodes,
        "fixed",
        [helper.make_tensor_value_info("images", float_type, input_shape)],
        [helper.make_tensor_value_info("output0", float_type, output.shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"task": "detect", "names": NAMES} if metadata is None else metadata)
    onnx.save(model, str(path))
    return str(path)
