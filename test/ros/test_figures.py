from __future__ import annotations

import pytest

from bbia_ros.ros.figures import HISTORY, Figures


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_rate_is_averaged_over_the_window_and_falls_to_zero() -> None:
    clock = Clock()
    figures = Figures(clock)
    for _ in range(21):
        figures.tick("frames")
        clock.now += 0.1
    assert figures.rate("frames") == pytest.approx(20 / 2.1)
    clock.now += 10
    assert figures.rate("frames") == 0.0


def test_the_summary_names_units_and_percentiles() -> None:
    figures = Figures(Clock())
    for ms in range(1, 101):
        figures.duration("detect", ms / 1000)
    figures.value("queue", 3)
    figures.count("skipped")
    figures.count("skipped", 2)
    lines = figures.summary()
    assert lines["queue"] == "3"
    assert lines["skipped"] == "3"
    assert lines["detect p50 [ms]"] == "51.0"
    assert lines["detect p95 [ms]"] == "96.0"


def test_histories_are_bounded_and_reset_forgets() -> None:
    figures = Figures(Clock())
    for _ in range(10 * HISTORY):
        figures.tick("frames")
        figures.duration("detect", 1.0)
    assert len(figures._ticks["frames"]) == HISTORY
    assert len(figures._durations["detect"]) == HISTORY
    figures.reset()
    assert figures.summary() == {}
