from __future__ import annotations

import math
from random import Random

import pytest

from bbia_ros.soak.fit import MOST_POINTS, fit


def test_the_slope_of_a_line_is_found_despite_outliers() -> None:
    x = [float(i) for i in range(30)]
    y = [100 + 0.5 * i for i in range(30)]
    y[3] = y[17] = 900.0
    line = fit(x, y)
    assert line.slope == pytest.approx(0.5)
    assert line.low <= 0.5 <= line.high
    assert line.growth == pytest.approx(14.5)
    assert not line.within_noise


def test_the_interval_holds_the_true_slope_as_often_as_it_says() -> None:
    random, held = Random(1), 0
    for _ in range(200):
        x = [float(i) for i in range(25)]
        line = fit(x, [0.1 * i + random.gauss(0, 2) for i in range(25)])
        held += line.low <= 0.1 <= line.high
        assert line.low < line.slope < line.high
    assert 180 <= held <= 200


def test_no_growth_is_within_noise_and_a_leak_is_not() -> None:
    random = Random(2)
    x = [float(i) for i in range(40)]
    noise = [random.gauss(300, 1.5) for _ in x]
    assert fit(x, noise).within_noise
    assert not fit(x, [size + 0.5 * i for i, size in zip(x, noise, strict=True)]).within_noise
    assert fit(x, [size - 0.5 * i for i, size in zip(x, noise, strict=True)]).within_noise


def test_steady_growth_smaller_than_the_scatter_is_noise() -> None:
    x = [float(i) for i in range(40)]
    y = [300 + 0.01 * i + (1.0 if i % 2 else -1.0) for i in range(40)]
    line = fit(x, y)
    assert line.scatter > 1.0
    assert line.within_noise


def test_too_few_measurements_have_no_interval() -> None:
    assert math.isnan(fit([1.0], [2.0]).slope)
    assert not fit([1.0], [2.0]).within_noise
    assert fit([1.0, 2.0], [5.0, 7.0]).slope == pytest.approx(2.0)
    assert fit([1.0, 2.0], [5.0, 7.0]).low == -math.inf
    assert fit([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]).low == pytest.approx(1.0)


def test_many_measurements_are_joined_in_blocks() -> None:
    count = 10 * MOST_POINTS
    line = fit([float(i) for i in range(count)], [2.0 * i for i in range(count)])
    assert line.slope == pytest.approx(2.0)
    assert line.count == count
    assert line.span == pytest.approx(count, rel=0.01)
