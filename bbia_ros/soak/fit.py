"""A straight line through measurements that outliers cannot turn: Theil-Sen with its confidence interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Z_95 = 1.959964
"""Two-sided 95 % point of the normal distribution."""
MAD_TO_SIGMA = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""
MOST_POINTS = 400
"""More measurements than this are first joined in blocks, each by its median: the pairs grow with the square."""


@dataclass(frozen=True)
class Line:
    """A fitted line.

    Attributes:
        slope: median of the slopes between all pairs, per unit of x; NaN with fewer than two measurements.
        low: lower end of the slope's 95 % confidence interval; minus infinity with fewer than six.
        high: upper end.
        scatter: robust standard deviation of the measurements around the line.
        span: from the first x to the last.
        count: measurements.
    """

    slope: float
    low: float
    high: float
    scatter: float
    span: float
    count: int

    @property
    def growth(self) -> float:
        """What the slope amounts to over the whole span."""
        return self.slope * self.span

    @property
    def within_noise(self) -> bool:
        """Whether no growth has been shown.

        So it is when the confidence interval holds zero or less, or when the growth over the whole span is smaller than
        twice the scatter of single measurements.
        """
        return self.count >= 2 and (self.low <= 0.0 or self.growth <= 2.0 * self.scatter)


def fit(x: Sequence[float], y: Sequence[float]) -> Line:
    """Theil's line (1950); the interval is Sen's (1968), from the normal approximation of Kendall's rank statistic.

    Args:
        x: where was measured; not all the same.
        y: what was measured, as many.
    """
    count = len(x)
    if count < 2:
        return Line(math.nan, -math.inf, math.inf, math.nan, 0.0, count)
    xs, ys = _blocks(np.asarray(x, float), np.asarray(y, float))
    first, second = np.triu_indices(len(xs), 1)
    run = xs[second] - xs[first]
    slopes = np.sort((ys[second] - ys[first])[run != 0] / run[run != 0])
    slope = float(np.median(slopes))
    rest = ys - slope * xs
    scatter = MAD_TO_SIGMA * float(np.median(np.abs(rest - np.median(rest))))
    low, high = -math.inf, math.inf
    n = len(xs)
    width = Z_95 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    below = int((len(slopes) - width) / 2)
    if below >= 1:
        low, high = float(slopes[below - 1]), float(slopes[len(slopes) - below])
    return Line(slope, low, high, scatter, float(xs[-1] - xs[0]), count)


def _blocks(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(x) <= MOST_POINTS:
        return x, y
    cuts = np.array_split(np.arange(len(x)), MOST_POINTS)
    return np.array([np.median(x[cut]) for cut in cuts]), np.array([np.median(y[cut]) for cut in cuts])
