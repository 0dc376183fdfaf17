"""A voice in two parts says what the whole voice says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bbia_ros.residency.onnx_session import open_session
from bbia_ros.speech import piper_parts
from bbia_ros.speech.piper_parts import DECODER_BEGINS, CutFailed, WindowedVoice, ensure_parts

pytestmark = pytest.mark.heavy


def write_voice(path: Path, begin: str = DECODER_BEGINS, speakers: bool = False) -> Path:
    """A small voice of piper's structure: ids to frames of 4 channels, then a decoder that makes 4 samples of each."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(1)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Cast", ["input"], ["ids"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["ids", "axis"], ["row"]),
        helper.make_node("Conv", ["row", "enc.weight"], ["z"], pads=[1, 1]),
        helper.make_node("Conv", ["z", "dec.conv_pre.weight"], ["a"], name=begin, pads=[3, 3]),
        helper.make_node("Tanh", ["a"], ["b"]),
        helper.make_node("ConvTranspose", ["b", "dec.up"], ["c"], strides=[4], pads=[2, 2]),
        helper.make_node("Conv", ["c", "dec.res"], ["d"], dilations=[12], pads=[36, 36]),
        helper.make_node("Unsqueeze", ["e" if speakers else "d", "axis"], ["output"]),
    ]
    inputs = [helper.make_tensor_value_info("input", TensorProto.INT64, [1, None])]
    if speakers:
        inputs.append(helper.make_tensor_value_info("sid", TensorProto.INT64, [1]))
        nodes[7:7] = [
            helper.make_node("Cast", ["sid"], ["who"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["d", "who"], ["e"]),
        ]
    graph = helper.make_graph(
        nodes,
        "voice",
        inputs,
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, 1, None])],
        [
            weight("enc.weight", 4, 1, 3), weight("dec.conv_pre.weight", 8, 4, 7), weight("dec.up", 8, 2, 8),
            weight("dec.res", 1, 2, 7), numpy_helper.from_array(np.array([1], np.int64), "axis"),
        ],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), str(path))
    return path


def opened(model: Path, cache: Path) -> WindowedVoice:
    return WindowedVoice(*(open_session(str(part), "part of a voice") for part in ensure_parts(model, cache)))


@pytest.mark.parametrize("frames", [1, piper_parts.WINDOW, piper_parts.WINDOW + 1, 5 * piper_parts.WINDOW - 3])
@pytest.mark.parametrize("speakers", [False, True])
def test_both_parts_in_windows_give_the_samples_of_the_whole(tmp_path: Path, frames: int, speakers: bool) -> None:
    model = write_voice(tmp_path / "voice.onnx", speakers=speakers)
    feed = {"input": np.arange(frames)[None] % 17}
    if speakers:
        feed["sid"] = np.array([3])
    (whole,) = open_session(str(model), "a voice").run(None, feed)
    (said,) = opened(model, tmp_path / "cache").run(None, feed)
    assert said.shape == whole.shape == (1, 1, 1, 4 * frames)
    assert np.allclose(said, whole, atol=1e-4)


def test_parts_are_cut_once_and_again_when_a_file_is_damaged_or_the_voice_is_another(tmp_path: Path) -> None:
    model, cache = write_voice(tmp_path / "voice.onnx"), tmp_path / "cache"
    parts = ensure_parts(model, cache)
    inode = parts.decoder.stat().st_ino
    assert ensure_parts(model, cache).decoder.stat().st_ino == inode
    parts.decoder.write_bytes(b"")
    ensure_parts(model, cache)
    assert parts.decoder.stat().st_size > 0
    write_voice(model, speakers=True)
    assert ensure_parts(model, cache) != parts
    assert len(list(cache.iterdir())) == 2  # no scratch folder is left


def test_another_structure_and_a_broken_file_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(CutFailed, match="no decoder where piper's voices have it"):
        ensure_parts(write_voice(tmp_path / "other.onnx", begin="/vocoder/Conv"), tmp_path / "cache")
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07 not a model")
    with pytest.raises(CutFailed, match="cannot be cut"):
        ensure_parts(tmp_path / "broken.onnx", tmp_path / "cache")
