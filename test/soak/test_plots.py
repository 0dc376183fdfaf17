from __future__ import annotations

from pathlib import Path

from bbia_ros.soak.plots import LAST, MOST_SERIES, draw, load
from bbia_ros.soak.record import Record
from bbia_ros.soak.sampling import ProcessSample, Sample


def recorded(path: Path, samples: int, workers: int = 2) -> Path:
    ticks = iter([0.0, *(float(n) for n in range(1000))])
    record = Record(path / "soak.jsonl", clock=lambda: next(ticks))
    for number in range(samples):
        rows = [ProcessSample("brain", "process", 1, 60_000_000, 5, 5, 10, 20)]
        rows += [ProcessSample(f"m{i}", "worker", 2 + i, 1_000_000 * (i + 1), 5, 5, 3, 2) for i in range(workers)]
        record.write("sample", **Sample(tuple(rows), 1, 5, 2, 6).plain(), mode="idle" if number < 5 else "converse")
        if number == 3:
            record.write("strike", what="kill", victim="m0")
            record.write("rest")
    record.close()
    return record.path


def test_the_record_becomes_series_modes_and_marks(tmp_path: Path) -> None:
    history = load(recorded(tmp_path, 10))
    assert history.series == {"process brain": [60.0] * 10, "m0": [1.0] * 10, "m1": [2.0] * 10}
    assert history.counts["threads"] == [24] * 10
    assert [mode for _, _, mode in history.modes] == ["idle", "converse"]
    assert [what for _, what in history.marks] == ["kill", "rest"]
    assert draw(history, "a title")[:4] == b"\x89PNG"


def test_a_long_record_is_thinned(tmp_path: Path) -> None:
    history = load(recorded(tmp_path, 200), most=50)
    assert len(history.times) == 50
    assert all(len(series) == 50 for series in history.series.values())


def test_many_workers_share_the_last_colour_and_nothing_is_lost(tmp_path: Path) -> None:
    history = load(recorded(tmp_path, 3, workers=30))
    assert len(history.series) == MOST_SERIES
    total = sum(series[0] for series in history.series.values())
    assert total == 60 + sum(range(1, 31))
    assert history.series[LAST][0] == sum(range(1, 17))  # the smallest


def test_a_soak_that_ended_before_its_first_sample_has_a_plot_too(tmp_path: Path) -> None:
    assert draw(load(recorded(tmp_path, 0)), "nothing")[:4] == b"\x89PNG"
