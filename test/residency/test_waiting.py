"""Who waits for room and who gives way: calls that somebody waits for, and models of the background."""

from __future__ import annotations

import threading

import pytest
from test_pool import Bench, bench, spec  # noqa: F401

from bbia_ros.residency import AdmissionRefused


def begin(b: Bench, one, key: str) -> None:
    """Call a model in a thread; `b.outcome(key)` is what came of it."""
    lease = b.pool.acquire(one)

    def run() -> None:
        try:
            b.outcomes[key] = lease.call("echo", key)
        except AdmissionRefused as error:
            b.outcomes[key] = error

    b.threads[key] = threading.Thread(target=run)
    b.threads[key].start()


def until_somebody_waits(b: Bench) -> None:
    registry = b.pool._registry
    for _ in range(5000):
        with registry.lock:
            if registry.waiting:
                return
        threading.Event().wait(0.001)
    raise TimeoutError("nobody waits for room")


def test_a_call_waits_until_what_is_in_use_may_go(bench):  # noqa: F811
    b = bench(budget_mb=250, busy_s=10)
    b.hold(b.pool.acquire(spec("chat", 170)), "answer")
    begin(b, spec("tts", 150), "sentence")
    until_somebody_waits(b)
    assert b.states() == {"chat": "BUSY", "tts": "LOADING"}
    assert b.let_go("answer") == "answer", "the call in flight is not touched"
    assert b.outcome("sentence") == "sentence"
    assert b.states() == {"chat": "ABSENT", "tts": "IDLE"}


def test_waiting_for_the_group_as_well(bench):  # noqa: F811
    b = bench(group_limits={"stt": 1}, busy_s=10)
    b.hold(b.pool.acquire(spec("base", group="stt")), "line")
    begin(b, spec("tiny", group="stt"), "next line")
    until_somebody_waits(b)
    b.let_go("line")
    assert b.outcome("next line") == "next line"


def test_the_wait_ends_with_the_refusal(bench):  # noqa: F811
    b = bench(budget_mb=250, busy_s=0.05)
    b.hold(b.pool.acquire(spec("chat", 170)), "answer")
    with pytest.raises(AdmissionRefused, match=r"tts is not loaded: it needs 150 MB and 80 MB .* chat 170 MB \(BUSY\)"):
        b.pool.acquire(spec("tts", 150)).call("echo")
    assert b.pool._registry.waiting == 0
    b.let_go("answer")


def test_what_cannot_help_is_not_waited_for(bench):  # noqa: F811
    b = bench(budget_mb=250, busy_s=60.0)
    b.hold(b.pool.acquire(spec("simulator", 170, pinned=True)), "step")
    with pytest.raises(AdmissionRefused, match="pinned"):
        b.pool.acquire(spec("tts", 150)).call("echo")
    b.let_go("step")


@pytest.mark.parametrize("eviction", ["weighted", "lru"])
def test_the_background_goes_first_though_it_was_used_last(bench, eviction):  # noqa: F811
    b = bench(budget_mb=350, eviction=eviction)
    b.use(spec("chat"), spec("stt"), spec("faces", background=True))
    b.use(spec("tts"))
    assert b.states() == {"chat": "IDLE", "stt": "IDLE", "faces": "ABSENT", "tts": "IDLE"}


def test_the_background_takes_only_what_is_free_or_has_rested(bench):  # noqa: F811
    b = bench(budget_mb=250)
    faces = spec("faces", background=True)
    b.use(spec("objects", background=True), spec("chat"))
    with pytest.raises(AdmissionRefused, match="faces is not loaded"):
        b.use(faces)
    assert b.states()["objects"] == "IDLE", "neither does it drive out others of the background"
    b.clock.now += 10
    b.use(faces)
    assert sorted(b.states().items()) == [("chat", "IDLE"), ("faces", "IDLE"), ("objects", "ABSENT")]


def test_a_prefetch_drives_the_background_out(bench):  # noqa: F811
    b = bench(budget_mb=250)
    b.use(spec("chat"), spec("faces", background=True))
    assert b.pool.acquire(spec("stt")).prefetch().exception(5) is None
    assert b.states() == {"chat": "IDLE", "faces": "ABSENT", "stt": "IDLE"}


def test_nobody_of_the_background_gets_in_while_a_call_waits_for_room(bench):  # noqa: F811
    b = bench(budget_mb=250, busy_s=10)
    b.hold(b.pool.acquire(spec("chat", 170)), "answer")
    begin(b, spec("tts", 150), "sentence")
    until_somebody_waits(b)
    with pytest.raises(AdmissionRefused, match="a call to another model waits for room already"):
        b.pool.acquire(spec("faces", 50, background=True)).call("echo")
    b.let_go("answer")
    assert b.outcome("sentence") == "sentence"
    b.use(spec("faces", 50, background=True))
