"""What is remembered of models."""

from __future__ import annotations

import json
import logging

import pytest

from bbia_ros.residency import Measurements, ModelSpec

MB = 1_000_000


def spec(**fields) -> ModelSpec:
    return ModelSpec(**{"name": "a", "task": "t", "engine": "m:C", "declared_mb": 100, **fields})


def test_declared_until_measured(tmp_path):
    path = tmp_path / "deep" / "measurements.json"
    known = Measurements(path)
    assert known.peak_bytes(spec()) == 100 * MB
    known.record(spec(), 40 * MB, 70 * MB)
    assert known.peak_bytes(spec()) == 70 * MB
    assert Measurements(path).peak_bytes(spec()) == 70 * MB, "survives a restart"
    assert path.stat().st_mode & 0o077 in (0o044, 0)


def test_what_it_grows_to_in_use_counts_too(tmp_path):
    known = Measurements(tmp_path / "m.json")
    assert known.used_bytes(spec()) == 0
    known.record(spec(), 40 * MB, 70 * MB)
    known.record_use(spec(), 90 * MB)
    again = Measurements(tmp_path / "m.json")
    assert (again.used_bytes(spec()), again.peak_bytes(spec())) == (90 * MB, 90 * MB)


@pytest.mark.parametrize("other", [{"name": "b"}, {"engine": "m:D"}, {"device": "cuda"}, {"arguments": {"model": "x"}}])
def test_other_models_engines_devices_and_weights_are_others(tmp_path, other):
    known = Measurements(tmp_path / "m.json")
    known.record(spec(), 40 * MB, 70 * MB)
    assert known.peak_bytes(spec(**other)) == 100 * MB
    assert known.peak_bytes(spec(ttl_s=3, nice=0)) == 70 * MB, "how it is held does not matter"


@pytest.mark.parametrize("content", ["{", "[]", "", '"x"', "null"])
def test_a_damaged_file_is_replaced(tmp_path, content, caplog):
    path = tmp_path / "m.json"
    path.write_text(content)
    known = Measurements(path)
    with caplog.at_level(logging.WARNING):
        assert known.peak_bytes(spec()) == 100 * MB
    assert "damaged" in caplog.text
    known.record(spec(), 40 * MB, 70 * MB)
    assert Measurements(path).peak_bytes(spec()) == 70 * MB


@pytest.mark.parametrize("entry", [3, None, {}, {"peak_bytes": "many"}, {"peak_bytes": -1}, {"peak_bytes": 1.5}])
def test_entries_that_make_no_sense_are_ignored(tmp_path, entry):
    path = tmp_path / "m.json"
    Measurements(path).record(spec(), 40 * MB, 70 * MB)
    key = next(iter(json.loads(path.read_text())))
    path.write_text(json.dumps({key: entry}))
    assert Measurements(path).peak_bytes(spec()) == 100 * MB


def test_a_place_that_cannot_be_written_costs_a_warning(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    known = Measurements(tmp_path / "file" / "m.json")
    with caplog.at_level(logging.WARNING):
        known.record(spec(), 40 * MB, 70 * MB)
    assert "not kept" in caplog.text
    assert known.peak_bytes(spec()) == 70 * MB, "known in this process all the same"


def test_two_processes_do_not_lose_each_others(tmp_path):
    one, two = Measurements(tmp_path / "m.json"), Measurements(tmp_path / "m.json")
    one.peak_bytes(spec())
    two.peak_bytes(spec())
    one.record(spec(), 1 * MB, 2 * MB)
    two.record(spec(name="b"), 3 * MB, 4 * MB)
    third = Measurements(tmp_path / "m.json")
    assert (third.peak_bytes(spec()), third.peak_bytes(spec(name="b"))) == (2 * MB, 4 * MB)


def test_small_changes_are_not_written(tmp_path):
    path = tmp_path / "m.json"
    known = Measurements(path)
    known.record(spec(), 40 * MB, 70 * MB)
    before = path.stat().st_mtime_ns, path.stat().st_ino
    known.record(spec(), 40 * MB + 1000, 70 * MB - 1000)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
