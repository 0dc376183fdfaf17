from __future__ import annotations

from typing import Any

from builtin_interfaces.msg import Time

from bbia_ros.msg import ModelStatus, NodeStatus, Residency, StackStatus
from bbia_ros.soak.callers import Callers
from bbia_ros.soak.chaos import KILL, STOP, Strike
from bbia_ros.soak.processes import WORKER, Member


def residency(
    state: str, pid: int, *, name: str = "faces", node: str = "perception", used: int = 0, error: str = ""
) -> Residency:
    model = ModelStatus(
        name=name, node=node, task=name, state=state, pid=pid, last_used=Time(sec=used), last_error=error
    )
    return Residency(node=node, pid=10, models=[model])


def status(**nodes: str) -> StackStatus:
    return StackStatus(nodes=[NodeStatus(name=name, state=state) for name, state in nodes.items()])


def strike(pid: int, at: float = 100.0, kind: str = KILL) -> Strike:
    return Strike(kind, Member(pid, 1, 10, WORKER, "brain"), 0.0, at)


def struck(callers: Callers, pid: int, ros_now_s: float = 1000.0) -> Any:
    (outcome,) = callers.struck(strike(pid), ros_now_s)
    return outcome


def test_the_way_from_kill_to_service_is_timed() -> None:
    callers = Callers()
    callers.heard(residency("BUSY", 50), 99.0)
    assert callers.names() == {50: "faces"}
    outcome = struck(callers, 50)
    assert outcome.in_use
    for at, message in (
        (100.02, residency("BUSY", 50)),  # sent before it was known
        (100.05, residency("ABSENT", 0)),
        (100.25, residency("LOADING", 51)),
        (101.5, residency("IDLE", 51)),
        (109.0, residency("ABSENT", 0)),
    ):
        callers.heard(message, at)
    assert (round(outcome.told_s, 3), round(outcome.loading_s, 3), round(outcome.back_s, 3)) == (0.05, 0.25, 1.5)
    assert outcome.closed


def test_a_model_used_a_moment_ago_is_in_use_and_one_used_long_ago_is_not() -> None:
    callers = Callers()
    callers.heard(residency("IDLE", 50, used=999), 99.0)
    assert struck(callers, 50, 1000.5).in_use
    callers.heard(residency("IDLE", 52, used=900), 99.0)
    assert not struck(callers, 52, 1000.5).in_use


def test_models_that_share_a_worker_are_followed_each_on_its_own() -> None:
    callers = Callers()
    message = residency("BUSY", 50)
    message.models = [*message.models, ModelStatus(name="objects", node="perception", state="IDLE", pid=50)]
    callers.heard(message, 99.0)
    assert callers.names() == {50: "faces + objects"}
    assert [outcome.model for outcome in callers.struck(strike(50), 1000.0)] == ["faces", "objects"]


def test_a_worker_that_survives_is_not_told_of() -> None:
    callers = Callers()
    callers.heard(residency("BUSY", 50), 99.0)
    outcome = struck(callers, 50)
    callers.heard(residency("IDLE", 50), 103.0)
    assert outcome.told_s is None
    assert callers.saw(status(perception="active"), 170.0) == []
    assert outcome.closed
    assert not outcome.lost


def test_a_stopped_worker_that_was_released_in_order_is_told_apart_from_one_that_was_ended() -> None:
    callers = Callers()
    callers.heard(residency("BUSY", 50, error="earlier"), 99.0)
    (outcome,) = callers.struck(strike(50, kind=STOP), 1000.0)
    callers.heard(residency("ABSENT", 0, error="earlier"), 103.0)
    assert (outcome.told_s, outcome.closed) == (None, True)
    callers.heard(residency("BUSY", 51, error="earlier"), 104.0)
    (outcome,) = callers.struck(strike(51, kind=STOP), 1000.0)
    callers.heard(residency("ABSENT", 0, error="not done in 10 s"), 111.0)
    assert outcome.told_s == 11.0


def test_what_comes_after_a_second_strike_comes_of_it() -> None:
    callers = Callers()
    callers.heard(residency("BUSY", 50), 99.0)
    (first,) = callers.struck(strike(50, kind=STOP), 1000.0)
    (second,) = callers.struck(strike(50, at=105.0), 1005.0)
    callers.heard(residency("ABSENT", 0, error="killed"), 105.1)
    assert (first.told_s, first.closed) == (None, True)
    assert round(second.told_s or 0, 3) == 0.1


def test_a_model_that_is_needed_and_does_not_come_back_is_lost() -> None:
    callers = Callers()
    callers.heard(residency("BUSY", 50), 99.0)
    outcome = struck(callers, 50)
    callers.heard(residency("ABSENT", 0, error="killed"), 100.1)
    assert callers.saw(status(perception="active"), 159.0) == []
    assert callers.saw(status(perception="active"), 160.0) == [outcome]
    assert outcome.lost
    assert callers.saw(status(perception="active"), 161.0) == []  # told once


def test_a_model_need_not_come_back_when_its_node_sleeps_or_nobody_asks() -> None:
    callers = Callers()
    callers.heard(residency("BUSY", 50), 99.0)
    callers.heard(residency("BUSY", 60, name="chat", node="dialogue"), 99.0)
    faces, chat = struck(callers, 50), struck(callers, 60)
    callers.heard(residency("ABSENT", 0), 100.1)
    callers.heard(residency("ABSENT", 0, name="chat", node="dialogue"), 100.1)
    assert callers.saw(status(perception="inactive", dialogue="active"), 120.0) == []
    assert callers.saw(status(perception="active", dialogue="active"), 170.0) == []
    assert not faces.lost
    assert not chat.lost


def test_the_simulator_is_in_use_without_being_called() -> None:
    callers = Callers()
    callers.heard(residency("IDLE", 50, name="simulator", node="driver"), 99.0)
    assert struck(callers, 50).in_use


def test_a_model_that_a_node_no_longer_tells_of_is_forgotten() -> None:
    callers = Callers()
    callers.heard(residency("IDLE", 50), 99.0)
    callers.heard(residency("IDLE", 60, name="chat", node="dialogue"), 99.0)
    callers.heard(Residency(node="perception", pid=10), 100.0)
    assert callers.names() == {60: "chat"}
    assert callers.struck(strike(50), 1000.0) == []
