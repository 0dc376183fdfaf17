from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.harness import figure, percentile, write
from benchmarks.table import markdown


@pytest.mark.parametrize(
    ("value", "goal", "met"),
    [(1.0, "<= 1.5", True), (2.0, "<= 1.5", False), (3.0, ">= 3", True), (None, "<= 1", False)],
)
def test_a_goal_is_compared_and_a_missing_value_never_meets_it(value: float | None, goal: str, met: bool) -> None:
    assert figure("a.b", "x", value, "s", goal=goal)["met"] is met


def test_without_a_goal_nothing_is_met_or_missed() -> None:
    assert figure("a.b", "x", 1.0, "s")["met"] is None


def test_a_goal_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="comparison and a number"):
        figure("a.b", "x", 1.0, "s", goal="small")


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(v) for v in range(1, 101)]
    assert percentile(values, 0.5) == 51.0
    assert percentile(values, 0.99) == 100.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_the_file_names_machine_and_date(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "x.json", [figure("a.b", "x", 1.0, "s")])
    content = json.loads((tmp_path / "deep" / "x.json").read_text())
    assert content["machine"]["cores"] >= 1
    assert content["figures"][0]["id"] == "a.b"


def test_the_table_shows_values_goals_and_what_was_missed(tmp_path: Path) -> None:
    write(tmp_path / "x.json", [figure("a.b", "speed", 2.0, "s", goal="<= 1.5", baseline=1.0, note="cold")])
    assert "| speed (cold) | 2 s | <= 1.5 | 1 s | **missed** |" in markdown(tmp_path)
    with pytest.raises(FileNotFoundError, match="make bench"):
        markdown(tmp_path / "nowhere")
