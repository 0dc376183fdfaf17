"""all-MiniLM-L6-v2 as an int8 ONNX file, built once from its safetensors without torch.

The graph is written down here node by node (BERT: Devlin et al. 2019; MiniLM: Wang et al. 2020, 6 layers of width
384), quantised by onnxruntime and kept in the cache folder: 23 MB instead of 91. Building takes about 3 s and 250 MB
for a moment, in a process of its own, so that the worker that uses the file never holds either.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bbia_ros.conversion import ConversionFailed, ConversionTooSlow, locked, run_apart
from bbia_ros.resources import cache_folder

EXPORT_VERSION = 1
"""Part of the cached file's name: raise it when the graph or its quantisation changes."""

OPSET = 17
BUILD_TIMEOUT_S = 120.0
SMALLEST_ONNX_BYTES = 1_000_000


class ExportFailed(RuntimeError):
    """The sentence encoder could not be turned into ONNX."""


@dataclass(frozen=True)
class BertShape:
    """The sizes in a BERT's config.json that its graph depends on."""

    layers: int
    width: int
    heads: int
    epsilon: float

    @staticmethod
    def read(folder: Path) -> BertShape:
        """Reads config.json; raises ExportFailed when the folder holds no BERT with GELU."""
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            if config["model_type"] != "bert" or config["hidden_act"] != "gelu":
                raise ExportFailed(f"{folder} holds a {config['model_type']} model, not a BERT with GELU.")
            return BertShape(
                config["num_hidden_layers"],
                config["hidden_size"],
                config["num_attention_heads"],
                config["layer_norm_eps"],
            )
        except (OSError, ValueError, KeyError) as error:
            raise ExportFailed(f"No usable config.json in {folder}: {error}") from error


def cached_path(folder: Path, cache: Path | None = None) -> Path:
    """Where the ONNX file of the model in `folder` belongs; its name changes with the weights and the exporter."""
    weights = (folder / "model.safetensors").resolve()
    status = weights.stat()
    key = f"{weights}|{status.st_size}|{status.st_mtime_ns}|{EXPORT_VERSION}"
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return (cache or cache_folder("text_emotion")) / f"minilm-int8-{digest}.onnx"


def ensure_onnx(folder: Path, cache: Path | None = None) -> Path:
    """The int8 ONNX file of the model in `folder`, built when it is missing or damaged.

    Raises:
        ExportFailed: The model is missing or broken, or `onnx` is not installed.
    """
    try:
        path = cached_path(folder, cache)
    except OSError as error:
        raise ExportFailed(f"No model.safetensors in {folder}: {error}") from error
    if is_intact(path):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock")):
        if not is_intact(path):  # another process may have built it meanwhile
            _build_apart(folder, path)
    return path


def is_intact(path: Path) -> bool:
    """Whether the file is the one that was written: its SHA-256 matches the one noted beside it."""
    try:
        noted = path.with_suffix(".sha256").read_text(encoding="ascii").strip()
        return path.stat().st_size >= SMALLEST_ONNX_BYTES and _sha256(path) == noted
    except (OSError, UnicodeDecodeError):
        return False


def build_float(folder: Path, target: Path) -> None:
    """Writes the float32 graph: input_ids, attention_mask [batch, length] int64 -> embedding [batch, width]."""
    import onnx
    from safetensors.numpy import load_file

    shape = BertShape.read(folder)
    graph = _Graph(load_file(str(folder / "model.safetensors")))
    embedding = _bert(graph, shape)
    names = [("input_ids", onnx.TensorProto.INT64), ("attention_mask", onnx.TensorProto.INT64)]
    inputs = [onnx.helper.make_tensor_value_info(name, kind, ["batch", "length"]) for name, kind in names]
    outputs = [onnx.helper.make_tensor_value_info(embedding, onnx.TensorProto.FLOAT, ["batch", shape.width])]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "minilm", inputs, outputs, graph.constants),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=8,
        producer_name="bbia_ros",
    )
    onnx.checker.check_model(model)
    onnx.save(model, str(target))


def build_int8(folder: Path, target: Path) -> None:
    """Writes the graph with int8 weights (activations are quantised as they come), atomically."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        whole, small = Path(scratch) / "float.onnx", Path(scratch) / "int8.onnx"
        build_float(folder, whole)
        quantize_dynamic(str(whole), str(small), weight_type=QuantType.QInt8, per_channel=True)
        digest = Path(scratch) / "sha256"
        digest.write_text(_sha256(small), encoding="ascii")
        os.replace(small, target)
        os.replace(digest, target.with_suffix(".sha256"))


class _Graph:
    """Nodes and constants of a graph under construction."""

    def __init__(self, weights: dict[str, NDArray[Any]]) -> None:
        self.weights = weights
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: NDArray[Any], name: str = "") -> str:
        """Adds an initializer and returns its name."""
        from onnx import numpy_helper

        name = name or f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def weight(self, name: str, transpose: bool = False) -> str:
        """Adds a tensor of the model as initializer."""
        value = self.weights[name]
        return self.constant(value.T if transpose else value, name)

    def node(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Adds a node with one output and returns the output's name."""
        from onnx import helper

        output = output or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def dense(self, x: str, name: str) -> str:
        """Adds x @ W.T + b."""
        product = self.node("MatMul", x, self.weight(f"{name}.weight", transpose=True))
        return self.node("Add", product, self.weight(f"{name}.bias"))

    def norm(self, x: str, name: str, epsilon: float) -> str:
        """Adds a layer normalisation over the last axis."""
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=epsilon)


def _bert(graph: _Graph, shape: BertShape) -> str:
    """Adds embeddings, encoder layers, mean pooling over the mask and normalisation to length 1."""
    int64 = np.int64
    word = graph.node("Gather", graph.weight("embeddings.word_embeddings.weight"), "input_ids")
    # Every token is of the first sentence: its type embedding is a constant of each position.
    position_table = graph.weights["embeddings.position_embeddings.weight"]
    position_table = position_table + graph.weights["embeddings.token_type_embeddings.weight"][0]
    length = graph.node("Shape", "input_ids", start=1, end=2)
    positions = graph.node(
        "Slice",
        graph.constant(position_table, "positions"),
        graph.constant(np.array([0], int64)),
        length,
        graph.constant(np.array([0], int64)),
    )
    x = graph.norm(graph.node("Add", word, positions), "embeddings.LayerNorm", shape.epsilon)

    mask = graph.node("Cast", "attention_mask", to=1)
    one = graph.constant(np.array(1.0, np.float32))
    absent = graph.node("Mul", graph.node("Sub", one, mask), graph.constant(np.array(-1e4, np.float32)))
    bias = graph.node("Unsqueeze", absent, graph.constant(np.array([1, 2], int64)))
    for layer in range(shape.layers):
        x = _encoder_layer(graph, shape, x, bias, f"encoder.layer.{layer}")

    weight = graph.node("Unsqueeze", mask, graph.constant(np.array([2], int64)))
    first = graph.constant(np.array([1], int64))
    total = graph.node("ReduceSum", graph.node("Mul", x, weight), first, keepdims=0)
    mean = graph.node("Div", total, graph.node("ReduceSum", weight, first, keepdims=0))
    size = graph.node("ReduceL2", mean, axes=[1], keepdims=1)
    return graph.node("Div", mean, size, output="embedding")


def _encoder_layer(graph: _Graph, shape: BertShape, x: str, bias: str, name: str) -> str:
    head = shape.width // shape.heads
    split = graph.constant(np.array([0, 0, shape.heads, head], np.int64))
    merge = graph.constant(np.array([0, 0, shape.width], np.int64))

    def heads(part: str, order: list[int]) -> str:
        dense = graph.dense(x, f"{name}.attention.self.{part}")
        return graph.node("Transpose", graph.node("Reshape", dense, split), perm=order)

    query, value = heads("query", [0, 2, 1, 3]), heads("value", [0, 2, 1, 3])
    key = heads("key", [0, 2, 3, 1])
    scale = graph.constant(np.array(head**-0.5, np.float32))
    scores = graph.node("Add", graph.node("Mul", graph.node("MatMul", query, key), scale), bias)
    mixed = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), value)
    joined = graph.node("Reshape", graph.node("Transpose", mixed, perm=[0, 2, 1, 3]), merge)
    attended = graph.node("Add", graph.dense(joined, f"{name}.attention.output.dense"), x)
    x = graph.norm(attended, f"{name}.attention.output.LayerNorm", shape.epsilon)

    inner = graph.dense(x, f"{name}.intermediate.dense")
    error = graph.node("Erf", graph.node("Div", inner, graph.constant(np.array(2**0.5, np.float32))))
    half = graph.node("Mul", inner, graph.constant(np.array(0.5, np.float32)))
    gelu = graph.node("Mul", half, graph.node("Add", error, graph.constant(np.array(1.0, np.float32))))
    fed = graph.node("Add", graph.dense(gelu, f"{name}.output.dense"), x)
    return graph.norm(fed, f"{name}.output.LayerNorm", shape.epsilon)


def _build_apart(folder: Path, target: Path) -> None:
    try:
        run_apart(
            "bbia_ros.emotion.minilm_onnx", folder, target,
            timeout_s=BUILD_TIMEOUT_S, is_made=lambda: is_intact(target),
        )  # fmt: skip
    except ConversionTooSlow as error:
        raise ExportFailed(f"Building {target.name} took longer than {BUILD_TIMEOUT_S:.0f} s.") from error
    except ConversionFailed as error:
        raise ExportFailed(f"The sentence encoder in {folder} could not be exported: {error}") from error


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


if __name__ == "__main__":
    build_int8(Path(sys.argv[1]), Path(sys.argv[2]))
