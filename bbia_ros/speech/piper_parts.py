"""A Piper voice in two parts, so that what a sentence needs for a moment does not grow with its length.

A Piper voice (VITS: Kim et al. 2021) is one graph: from phonemes to a sequence of latent frames, then the decoder
(HiFi-GAN: Kong et al. 2020), which makes some 256 samples of each frame. The decoder does nine tenths of the work and
holds 32 MB of activations per second of speech. It is made of convolutions alone, so a piece of the audio depends on
the frames nearby and on nothing else: run over windows that overlap, it gives the same samples.

The parts are cut once from the voice's file by a process of its own (2 s, 250 MB for a moment) and kept in the cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bbia_ros.conversion import ConversionFailed, ConversionTooSlow, run_apart
from bbia_ros.resources import cache_folder

VERSION = 1
"""Part of the cached folder's name: raise it when the cut changes."""
WINDOW = 64
"""Frames that one run of the decoder turns into audio: 0.74 s at 22050 Hz."""
OVERLAP = 14
"""Frames on each side that it sees besides; 11 is as far as the decoder of a medium voice looks, 14 that of a high."""
DECODER_BEGINS = "/dec/conv_pre/Conv"
"""The decoder's first node in every voice that piper exports; its first input are the latent frames."""
BUILD_TIMEOUT_S = 60.0


class CutFailed(RuntimeError):
    """The voice cannot be taken apart; it works as a whole."""


class Parts(NamedTuple):
    """The two files of a voice: phonemes to latent frames, frames to audio."""

    encoder: Path
    decoder: Path


class WindowedVoice:
    """Both parts behind the one method of an onnxruntime session that piper calls.

    Owns: the two sessions.
    """

    def __init__(self, encoder: Any, decoder: Any) -> None:
        self._encoder = encoder
        self._decoder = decoder
        self._latent = encoder.get_outputs()[0].name
        self._inputs = [entry.name for entry in encoder.get_inputs()]
        self._conditions = [entry.name for entry in decoder.get_inputs() if entry.name != self._latent]

    def run(self, names: Sequence[str] | None, feed: dict[str, Any]) -> list[NDArray[np.float32]]:
        """Speaks one sentence: piper's inputs in, [1, 1, 1, samples] out. `names` is ignored: there is one output."""
        (latent,) = self._encoder.run([self._latent], {name: feed[name] for name in self._inputs})
        conditions = {name: feed[name] for name in self._conditions}
        frames, pieces = latent.shape[2], []
        for start in range(0, frames, WINDOW):
            first, last = max(0, start - OVERLAP), min(frames, start + WINDOW + OVERLAP)
            (audio,) = self._decoder.run(None, {self._latent: latent[:, :, first:last], **conditions})
            hop = audio.shape[-1] // (last - first)
            pieces.append(audio[..., (start - first) * hop : (min(start + WINDOW, frames) - first) * hop])
        return [np.concatenate(pieces, axis=-1)]


def ensure_parts(model: Path, cache: Path | None = None) -> Parts:
    """The parts of a voice, cut when they are missing or incomplete.

    Raises:
        CutFailed: the voice has another structure, or `onnx` is not installed.
    """
    status = model.stat()
    key = f"{model.resolve()}|{status.st_size}|{status.st_mtime_ns}|{VERSION}"
    name = f"{model.stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    folder = (cache_folder("piper") if cache is None else cache) / name
    parts = Parts(folder / "encoder.onnx", folder / "decoder.onnx")
    if _is_complete(parts):
        return parts
    try:
        run_apart(
            "bbia_ros.speech.piper_parts", model, folder,
            timeout_s=BUILD_TIMEOUT_S, is_made=lambda: _is_complete(parts),
        )  # fmt: skip
    except ConversionTooSlow as error:
        raise CutFailed(f"cutting {model.name} took longer than {BUILD_TIMEOUT_S:.0f} s") from error
    except ConversionFailed as error:
        raise CutFailed(f"{model.name} cannot be cut: {error}") from error
    return parts


def cut(model: Path, folder: Path) -> None:
    """Writes the parts of a voice into a folder, all at once.

    Raises:
        CutFailed: the voice has another structure.
    """
    import onnx

    voice = onnx.load(str(model))
    begin = next((node for node in voice.graph.node if node.name == DECODER_BEGINS), None)
    if begin is None or len(voice.graph.output) != 1:
        raise CutFailed("it has no decoder where piper's voices have it")
    latent = onnx.helper.make_tensor_value_info(begin.input[0], onnx.TensorProto.FLOAT, [1, None, None])
    inputs = list(voice.graph.input)
    encoder = _part(voice, inputs, [latent])
    decoder = _part(voice, [latent, *(entry for entry in inputs if entry.name == "sid")], list(voice.graph.output))
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        for name, part in (("encoder", encoder), ("decoder", decoder)):
            # onnxruntime maps weights in a file of their own, and copies those inside the .onnx: 60 MB more to load.
            onnx.save(part, str(scratch / f"{name}.onnx"), save_as_external_data=True, location=f"{name}.weights")
        sizes = {file.name: file.stat().st_size for file in scratch.iterdir()}
        (scratch / "sizes.json").write_text(json.dumps(sizes), encoding="ascii")
        shutil.rmtree(folder, ignore_errors=True)  # an incomplete one
        os.replace(scratch, folder)
    except OSError:
        if not _is_complete(Parts(folder / "encoder.onnx", folder / "decoder.onnx")):  # nobody else was faster
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _part(voice: Any, inputs: list[Any], outputs: list[Any]) -> Any:
    """The nodes between these inputs and outputs as a model of its own."""
    import onnx

    graph = voice.graph
    maker = {name: index for index, node in enumerate(graph.node) for name in node.output}
    given = {entry.name for entry in inputs}
    wanted, seen, kept = [entry.name for entry in outputs], set(given), set()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in maker:
            kept.add(maker[name])
            wanted += list(_names_used(graph.node[maker[name]]))
    used = seen - given
    missing = {entry.name for entry in graph.input} & used
    if missing:
        raise CutFailed(f"its decoder depends on {', '.join(sorted(missing))}")
    return onnx.helper.make_model(
        onnx.helper.make_graph(
            [graph.node[index] for index in sorted(kept)],
            graph.name,
            [entry for entry in inputs if entry.name in seen and _is_used(entry.name, graph, kept)],
            outputs,
            [tensor for tensor in graph.initializer if tensor.name in used],
        ),
        opset_imports=voice.opset_import,
        ir_version=voice.ir_version,
        producer_name=voice.producer_name,
    )


def _is_used(name: str, graph: Any, kept: set[int]) -> bool:
    return any(name in _names_used(graph.node[index]) for index in kept)


def _names_used(node: Any) -> set[str]:
    """Inputs of a node, and what the bodies of a loop or condition in it take from outside."""
    names = set(node.input) - {""}
    for attribute in node.attribute:
        for body in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            made = {name for inner in body.node for name in inner.output} | {entry.name for entry in body.input}
            names |= {name for inner in body.node for name in _names_used(inner)} - made
    return names


def _is_complete(parts: Parts) -> bool:
    try:
        sizes = json.loads((parts.encoder.parent / "sizes.json").read_text(encoding="ascii"))
        return all((parts.encoder.parent / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


if __name__ == "__main__":
    try:
        cut(Path(sys.argv[1]), Path(sys.argv[2]))
    except (CutFailed, ImportError, OSError) as reason:
        print(reason, file=sys.stderr)
        sys.exit(1)
