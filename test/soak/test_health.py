from __future__ import annotations

from bbia_ros.msg import ModelStatus, NodeStatus, StackStatus
from bbia_ros.soak.health import FAULT_S, SILENCE_S, UNEXPECTED_S, Health

MODES = {"idle": {"motion": "active", "speech": "inactive"}, "listen": {"motion": "active", "speech": "active"}}


def status(mode: str = "listen", target: str = "", **nodes: str) -> StackStatus:
    states = {"motion": "active", "speech": "active", **nodes}
    return StackStatus(
        mode=mode, target_mode=target or mode, nodes=[NodeStatus(name=n, state=s) for n, s in states.items()]
    )


def test_a_stack_that_is_as_it_should_be_is_no_trouble() -> None:
    health = Health(MODES)
    for now in range(100):
        assert health.look(status(), True, float(now)) == []
    assert health.troubles == []


def test_a_node_in_the_wrong_state_is_trouble_only_when_it_lasts() -> None:
    health = Health(MODES)
    assert health.look(status(speech="inactive"), True, 0.0) == []
    assert health.look(status(), True, UNEXPECTED_S - 1) == []
    assert health.look(status(speech="inactive"), True, UNEXPECTED_S) == []
    (trouble,) = health.look(status(speech="inactive"), True, 2 * UNEXPECTED_S)
    assert trouble.what == "speech is inactive in mode listen"
    assert health.look(status(speech="inactive"), True, 3 * UNEXPECTED_S) == []  # told once
    health.look(status(), True, 100.0)
    assert (trouble.since, trouble.until) == (UNEXPECTED_S, 100.0)


def test_a_mode_that_is_never_reached_is_trouble() -> None:
    health = Health(MODES)
    health.look(status("idle", "listen"), True, 0.0)
    (trouble,) = health.look(status("idle", "listen"), True, UNEXPECTED_S)
    assert trouble.what == "mode listen is being entered"


def test_a_fault_that_stays_is_trouble() -> None:
    health, sick = Health(MODES), status()
    sick.nodes[1].detail = "nothing heard for 2 s"
    health.look(sick, True, 0.0)
    sick.nodes[1].detail = "nothing heard for 8 s"  # still the same
    assert health.look(sick, True, FAULT_S - 0.1) == []
    (trouble,) = health.look(sick, True, FAULT_S)
    assert trouble.what == "speech: nothing heard for 8 s"


def test_a_model_that_stays_failed_is_trouble() -> None:
    health, broken = Health(MODES), status()
    broken.models = [ModelStatus(name="faces", state="FAILED", last_error="three times")]
    assert health.look(broken, True, 0.0) == []
    (trouble,) = health.look(broken, True, UNEXPECTED_S)
    assert trouble.what == "model faces has FAILED: three times"


def test_a_silent_manager_is_trouble_also_when_it_was_never_heard() -> None:
    for first in (status(), None):
        health = Health(MODES)
        health.look(first, first is not None, 0.0)
        assert health.look(first, False, SILENCE_S) == []
        (trouble,) = health.look(first, False, SILENCE_S + 1.0)
        assert trouble.what == "the manager is silent"
        health.look(status(), True, SILENCE_S + 2.0)
        assert trouble.until == SILENCE_S + 2.0


def test_what_others_report_is_kept() -> None:
    health = Health(MODES)
    health.report("process brain ended", 5.0)
    assert [trouble.what for trouble in health.troubles] == ["process brain ended"]
