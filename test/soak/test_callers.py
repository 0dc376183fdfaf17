from __future__ import annotations

from typing import Any

from builtin_interfaces.msg import Time

from bbia_ros.msg import ModelStatus, Residency
from bbia_ros.soak.callers import Callers
from bbia_ros.soak.chaos import KILL, Strike
from bbia_ros.soak.processes import WORKER, Member


def residency(state: str, pid: int, *, name: str = "faces", node: str = "perception", used: int = 0) -> Residency:
    model = ModelStatus(name=name, node=node, state=state, pid=pid, last_used=Time(sec=used))
    return Residency(node=node, pid=10, models=[model])


def strike(pid: int, at: float = 100.0) -> Strike:
    return Strike(KILL, Member(pid, 1, 10, WORKER, "brain"), 0.0, at)


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
    assert not outcome.closed
    assert callers.release(150.0, older_s=60.0) == []
    assert callers.release(170.0, older_s=60.0) == [outcome]


def test_a_model_that_a_node_no_longer_tells_of_is_forgotten() -> None:
    callers = Callers()
    callers.heard(residency("IDLE", 50), 99.0)
    callers.heard(residency("IDLE", 60, name="chat", node="dialogue"), 99.0)
    callers.heard(Residency(node="perception", pid=10), 100.0)
    assert callers.names() == {60: "chat"}
    assert callers.struck(strike(50), 1000.0) == []
