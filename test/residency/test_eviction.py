"""Who goes: both ways against references that are simple enough to be obviously right."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bbia_ros.residency.eviction import cost, victims

NOW = 1000.0


@dataclass(frozen=True)
class Idle:
    name: str
    size: int
    last_used: float
    reload_s: float
    background: bool = False


def models(limit: int) -> st.SearchStrategy[list[Idle]]:
    fields = st.tuples(
        st.integers(1, 400), st.integers(0, 1000), st.sampled_from([0.0, 0.1, 0.5, 0.7, 3.0, 20.0]), st.booleans()
    )
    return st.lists(fields, max_size=limit).map(
        lambda rows: [Idle(f"m{number:02}", *row) for number, row in enumerate(rows)]
    )


def freed(idle: list[Idle], names: list[str]) -> int:
    return sum(one.size for one in idle if one.name in names)


@given(models(8), st.integers(-10, 2000))
def test_lru_takes_the_oldest_until_there_is_enough(idle, missing):
    chosen = victims(idle, missing, "lru", NOW)
    by_age = [one.name for one in sorted(idle, key=lambda one: one.last_used)]
    if missing > sum(one.size for one in idle):
        assert chosen is None
    elif missing <= 0:
        assert chosen == []
    else:
        assert chosen == by_age[: len(chosen)]
        assert freed(idle, chosen) >= missing > freed(idle, chosen[:-1])


@given(models(7), st.integers(1, 2000))
def test_weighted_is_the_cheapest_of_all_sets(idle, missing):
    chosen = victims(idle, missing, "weighted", NOW)
    sets = [
        some
        for count in range(len(idle) + 1)
        for some in itertools.combinations(idle, count)
        if sum(one.size for one in some) >= missing
    ]
    if not sets:
        assert chosen is None
        return
    # The formula once more, by hand.
    costs = [
        math.fsum(
            max(one.reload_s, 0.05) * (0.1 if one.background else 1) / max(NOW - one.last_used, 1) for one in some
        )
        for some in sets
    ]
    assert math.fsum(cost(one, NOW) for one in idle if one.name in chosen) == pytest.approx(min(costs), rel=1e-12)
    assert freed(idle, chosen) >= missing


@settings(max_examples=50)
@given(models(40), st.integers(1, 6000), st.sampled_from(["weighted", "lru"]))
def test_enough_goes_and_weighted_takes_nobody_whose_bytes_are_not_needed(idle, missing, eviction):
    chosen = victims(idle, missing, eviction, NOW)
    assert (chosen is None) == (sum(one.size for one in idle) < missing)
    if chosen is not None:
        spare = freed(idle, chosen) - missing
        assert spare >= 0
        assert len(set(chosen)) == len(chosen)
        if eviction == "weighted":
            assert all(one.size > spare for one in idle if one.name in chosen)


def test_what_reloads_quickly_goes_before_what_was_used_longer_ago():
    quick, slow = Idle("quick", 100, 980.0, 0.3), Idle("slow", 100, 960.0, 20.0)
    assert victims([quick, slow], 80, "weighted", NOW) == ["quick"]
    assert victims([quick, slow], 80, "lru", NOW) == ["slow"]


def test_one_large_model_goes_instead_of_several_that_are_missed_more():
    small = [Idle(f"small{number}", 50, 700.0, 1.0) for number in range(4)]
    large = Idle("large", 200, 750.0, 1.5)
    assert victims([*small, large], 200, "weighted", NOW) == ["large"]
    assert victims([*small, large], 40, "weighted", NOW) == ["small0"]
