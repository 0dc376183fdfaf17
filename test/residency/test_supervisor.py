"""The pool's background thread, with real time."""

from __future__ import annotations

import threading
import time

from fake_worker import FakeFactory

from bbia_ros.residency import Measurements, ModelSpec, ModelState, Pool


def pool_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "bbia-pool"]


def spec(name: str, **fields) -> ModelSpec:
    return ModelSpec(name, "t", "f:F", {"mb": 10}, declared_mb=10, **fields)


def test_there_is_no_thread_while_there_is_nothing_to_do():
    with Pool(measurements=Measurements(""), worker_factory=FakeFactory()) as pool:
        lease = pool.acquire(spec("a", ttl_s=0.2))
        assert pool_threads() == []
        gone = threading.Event()
        pool.on_change(lambda: gone.set() if pool.snapshot()[0].last_release else None)
        lease.call("echo")
        assert pool_threads() == ["bbia-pool"]
        began = time.monotonic()
        assert gone.wait(10)
        assert time.monotonic() - began > 0.15
        assert pool.snapshot()[0].state is ModelState.ABSENT
        thread = next((one for one in threading.enumerate() if one.name == "bbia-pool"), None)
        if thread is not None:
            thread.join(10)
        assert pool_threads() == []
        assert lease.call("echo", 1) == 1
    assert pool_threads() == []


def test_callbacks_come_from_the_pools_thread_and_may_fail():
    with Pool(measurements=Measurements(""), worker_factory=FakeFactory()) as pool:
        names: list[str] = []
        told = threading.Event()

        def note() -> None:
            names.append(threading.current_thread().name)
            if pool.snapshot()[0].state is ModelState.IDLE:
                told.set()

        pool.on_change(lambda: 1 / 0)
        pool.on_change(note)
        pool.acquire(spec("a")).preload()
        assert told.wait(10)
        assert set(names) == {"bbia-pool"}


def test_a_pool_may_be_closed_from_its_own_callback():
    pool = Pool(measurements=Measurements(""), worker_factory=FakeFactory())
    closed = threading.Event()

    def close() -> None:
        pool.close()
        closed.set()

    pool.acquire(spec("a")).preload().result(5)
    pool.on_change(close)
    pool.reset("a")
    assert closed.wait(10)
    assert pool.snapshot()[0].state is ModelState.ABSENT
