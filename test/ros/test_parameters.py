from __future__ import annotations

from dataclasses import dataclass

import pytest

from bbia_ros.ros.parameters import Declaration, ParameterError, build, declarations, nested, param


@dataclass(frozen=True)
class Inner:
    rate_hz: float = param(10.0, "rate [Hz]", minimum=0.1, maximum=30.0)
    labels: tuple[str, ...] = param((), "labels")


@dataclass(frozen=True)
class Outer:
    name: str = param("a", "name", choices=("a", "b"))
    count: int = param(3, "count", minimum=1)
    on: bool = param(True, "switch")
    inner: Inner = nested(Inner, rate_hz=5.0)


def by_name(name: str) -> Declaration:
    return next(d for d in declarations(Outer) if d.name == name)


def test_nested_groups_become_dotted_names_with_their_own_defaults() -> None:
    defaults = {d.name: d.default for d in declarations(Outer)}
    assert defaults == {"name": "a", "count": 3, "on": True, "inner.rate_hz": 5.0, "inner.labels": ()}


def test_build_keeps_defaults_of_missing_names() -> None:
    assert build(Outer, {"inner.labels": ("x",)}) == Outer(inner=Inner(rate_hz=5.0, labels=("x",)))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("name", "c", "one of a, b"),
        ("name", 1, "must be a text"),
        ("count", 0, "at least 1"),
        ("count", True, "must be a whole number"),
        ("inner.rate_hz", 31.0, "0.1 to 30.0"),
        ("inner.rate_hz", float("nan"), "0.1 to 30.0"),
        ("inner.rate_hz", 10, "decimal point"),
        ("inner.labels", "x", "a list of texts"),
        ("inner.labels", [1], "a list of texts"),
    ],
)
def test_a_wrong_value_is_refused_with_one_sentence(name: str, value: object, says: str) -> None:
    with pytest.raises(ParameterError, match=says) as refusal:
        by_name(name).check(value)
    assert f"'{name}'" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_descriptor_carries_range_and_choices() -> None:
    assert by_name("inner.rate_hz").descriptor().floating_point_range[0].to_value == 30.0
    assert by_name("count").descriptor().integer_range[0].from_value == 1
    assert "a, b" in by_name("name").descriptor().additional_constraints
