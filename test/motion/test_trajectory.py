"""Interpolations and the handover between sources."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bbia_ros.motion.handover import Handover
from bbia_ros.motion.trajectory import INTERPOLATIONS, cartoon, interpolation

S = np.linspace(0.0, 1.0, 1001)
STEP = 1e-5


@pytest.mark.parametrize("name", INTERPOLATIONS)
def test_interpolations_lead_from_nothing_to_all_symmetrically(name: str) -> None:
    shape = interpolation(name)
    assert shape(0.0) == pytest.approx(0.0, abs=1e-12)
    assert shape(1.0) == pytest.approx(1.0, abs=1e-12)
    assert [shape(s) + shape(1.0 - s) for s in S] == pytest.approx([1.0] * len(S))


@pytest.mark.parametrize("name", ["minimum_jerk", "ease_in_out", "cartoon"])
def test_all_but_linear_start_and_end_at_rest(name: str) -> None:
    shape = interpolation(name)
    assert abs(shape(STEP) - shape(0.0)) / STEP < 1e-3
    assert abs(shape(1.0) - shape(1.0 - STEP)) / STEP < 1e-3


def test_cartoon_winds_up_and_overshoots_by_a_tenth() -> None:
    values = [cartoon(s) for s in S]
    assert min(values) == pytest.approx(-0.1, abs=0.01)
    assert max(values) == pytest.approx(1.1, abs=0.01)


def test_the_default_is_minimum_jerk_and_an_unknown_name_lists_what_there_is() -> None:
    assert interpolation("") is interpolation("minimum_jerk")
    with pytest.raises(ValueError, match="minimum_jerk, linear, ease_in_out, cartoon"):
        interpolation("wobbly")


@given(
    st.lists(st.floats(-0.5, 0.5), min_size=9, max_size=9),
    st.lists(st.floats(-2.0, 2.0), min_size=9, max_size=9),
    st.none() | st.floats(0.1, 4.0),
)
def test_a_handover_starts_at_the_difference_and_ends_at_rest(
    offset: list[float], velocity: list[float], duration_s: float | None
) -> None:
    handover = Handover()
    handover.begin(10.0, np.array(offset), np.array(velocity), duration_s)
    assert handover.residual(10.0) == pytest.approx(offset)
    assert (handover.residual(10.0 + STEP) - handover.residual(10.0)) / STEP == pytest.approx(velocity, abs=1e-3)
    end = next(t for t in np.arange(10.0, 14.0, 0.01) if not handover.active(t))
    assert end - 10.0 >= 0.29
    assert np.abs(handover.residual(end)).max() == 0.0
    assert np.abs(handover.residual(end - 0.011)).max() < 0.01, "it has died away before it ends"
