import dataclasses

import pytest

from bbia_ros.manager.modes import NodeRule
from bbia_ros.manager.parameters import (
    GroupParameters,
    ManagerParameters,
    PressureParameters,
    limits_of,
    needed_by,
    settings_of,
)
from bbia_ros.residency.limits import Limits
from bbia_ros.ros.context import GROUP_LIMITS
from bbia_ros.ros.parameters import ParameterError

RULES = {
    "driver": NodeRule(),
    "motion": NodeRule(needs=("driver",)),
    "eyes": NodeRule(needs=("driver",)),
    "gaze": NodeRule(needs=("eyes",)),
    "brows": NodeRule(needs=("gaze",)),
}


def pressure(**changes) -> ManagerParameters:
    return ManagerParameters(pressure=dataclasses.replace(PressureParameters(), **changes))


def test_limits_are_the_parameters_in_bytes() -> None:
    assert limits_of(ManagerParameters()) == Limits(None, GROUP_LIMITS, "weighted")
    parameters = ManagerParameters(budget_mb=512.5, eviction="lru", groups=GroupParameters(stt=1))
    assert limits_of(parameters) == Limits(512_500_000, {**GROUP_LIMITS, "stt": 1}, "lru")


def test_what_needs_a_node_goes_along() -> None:
    assert set(needed_by("eyes", RULES)) == {"gaze", "brows"}
    settings = settings_of(pressure(give_up=("eyes",), low_mb=200.0), RULES, RULES)
    assert {node: set(along) for node, along in settings.give_up.items()} == {"eyes": {"gaze", "brows"}}
    assert settings.thresholds.low == 200_000_000


def test_the_default_order_fits_a_stack_without_some_of_the_nodes() -> None:
    assert settings_of(ManagerParameters(), RULES, RULES).give_up == {}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"give_up": ("driver",)}, "names driver, which is never given up"),
        ({"give_up": ("motion",)}, "names motion, which is never given up"),
        ({"give_up": ("wings",)}, "unknown node 'wings'; known: driver, motion, eyes, gaze, brows"),
        ({"low_mb": 300.0}, "low_mb 300 and room_mb 300 must each be larger"),
        ({"critical_mb": 151.0}, "critical_mb 151, low_mb 150"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict, says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        settings_of(pressure(**changes), RULES, RULES)


def test_a_node_that_motion_needs_is_not_given_up() -> None:
    rules = {**RULES, "motion": NodeRule(needs=("driver", "eyes"))}
    with pytest.raises(ParameterError, match="names eyes, which motion needs"):
        settings_of(pressure(give_up=("eyes",)), rules, rules)
