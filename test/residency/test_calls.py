"""What a holder of a lease relies on, with real workers and inline."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from toy_specs import toy

from bbia_ros.residency import (
    CallCancelled,
    CallTimeout,
    EngineError,
    LeaseReleased,
    LoadFailed,
    ModelFailed,
    ModelState,
    NotPicklable,
    ResidencyError,
    SpecConflict,
    WorkerDied,
)

pytestmark = pytest.mark.heavy


def state(pool, name="toy"):
    return next(info.state for info in pool.snapshot() if info.name == name)


def test_acquire_loads_nothing_and_the_first_call_does(make_pool, isolation):
    pool = make_pool(isolation=isolation)
    lease = pool.acquire(toy())
    assert state(pool) is ModelState.ABSENT
    assert lease.call("echo", 7) == 7
    assert lease.call("echo", 7, key=[1]) == (7, {"key": [1]})
    assert state(pool) is ModelState.IDLE
    assert pool.snapshot()[0].loads == 1


def test_release_ends_the_model_and_the_lease(make_pool, isolation):
    pool = make_pool(isolation=isolation)
    lease = pool.acquire(toy(mb=20))
    lease.call("echo")
    record = lease.release()
    assert record is not None
    assert record.returned_bytes > 15_000_000
    assert record.reason == "released"
    assert str(record).startswith("released ")
    assert lease.release() is None
    assert state(pool) is ModelState.ABSENT
    with pytest.raises(LeaseReleased):
        lease.call("echo")
    with pytest.raises(LeaseReleased):
        lease.stream("numbers", 3)
    with pytest.raises(LeaseReleased):
        lease.preload().result()


def test_the_last_holder_ends_it(make_pool, isolation):
    pool = make_pool(isolation=isolation)
    first, second = pool.acquire(toy()), pool.acquire(toy())
    first.call("add", 1)
    assert first.release() is None
    assert second.call("add", 2) == [1, 2]
    assert second.release() is not None


def test_a_name_means_one_set_of_settings(make_pool, isolation):
    pool = make_pool(isolation=isolation)
    lease = pool.acquire(toy())
    with pytest.raises(SpecConflict, match="toy"):
        pool.acquire(toy(ttl_s=5.0))
    lease.release()
    pool.acquire(toy(ttl_s=5.0))


def test_many_callers_one_load(make_pool, isolation):
    pool = make_pool(isolation=isolation)
    leases = [pool.acquire(toy(load_s=0.2)) for _ in range(8)]
    results = []
    threads = [threading.Thread(target=lambda x=x: results.append(x.call("echo", 1))) for x in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [1] * 8
    assert pool.snapshot()[0].loads == 1


def test_preload(make_pool, isolation):
    pool = make_pool(isolation=isolation)
    lease = pool.acquire(toy())
    lease.preload().result(10)
    assert state(pool) is ModelState.IDLE
    lease.preload().result(0)
    with pytest.raises(LoadFailed, match="no such file"):
        pool.acquire(toy("other", fail="no such file")).preload().result(10)


def test_engine_errors_leave_the_model_alone(make_pool, isolation):
    lease = make_pool(isolation=isolation).acquire(toy())
    lease.call("add", 1)
    with pytest.raises(EngineError, match="bad luck") as caught:
        lease.call("raise_", "bad luck")
    assert caught.value.kind == "ValueError"
    with pytest.raises(EngineError, match="no method 'nothing'"):
        lease.call("nothing")
    with pytest.raises(EngineError, match="_private"):
        lease.call("_private")
    assert lease.call("add", 2) == [1, 2]


def test_streams(make_pool, isolation):
    pool = make_pool(isolation=isolation)
    lease = pool.acquire(toy())
    assert list(lease.stream("numbers", 4)) == [0, 1, 2, 3]
    stream = lease.stream("broken")
    assert next(stream) == 1
    with pytest.raises(EngineError, match="no more"):
        next(stream)
    with pytest.raises(StopIteration):
        next(stream)
    assert lease.call("said") == ["closed"]
    assert state(pool) is ModelState.IDLE


def test_a_cancelled_stream_closes_its_generator(make_pool, isolation):
    lease = make_pool(isolation=isolation).acquire(toy())
    stream = lease.stream("numbers", 10**9)
    assert next(stream) == 0
    stream.cancel()
    with pytest.raises(CallCancelled):
        next(stream)
    assert lease.call("said") == ["closed"]


def test_a_forgotten_stream_gives_the_worker_back(make_pool, isolation):
    lease = make_pool(isolation=isolation).acquire(toy())
    for item in lease.stream("numbers", 10**9):
        assert item == 0
        break
    assert lease.call("said") == ["closed"]


def test_a_stream_cancelled_before_it_began(make_pool, isolation):
    pool = make_pool(isolation=isolation)
    lease = pool.acquire(toy())
    stream = lease.stream("numbers", 3)
    lease.cancel()
    with pytest.raises(CallCancelled):
        next(stream)
    assert state(pool) is ModelState.ABSENT


def test_arrays_both_ways(make_pool, isolation):
    lease = make_pool(isolation=isolation).acquire(toy())
    frame = lease.call("frame")
    assert frame.shape == (480, 640, 3)
    assert frame[0, 0, 2] == 2
    frame[:] = 1  # writable, and ours
    assert lease.call("total", frame) in (frame.size, frame.size - 1)
    kept = list(lease.stream("frames", 5))
    lease.release()
    assert [int(item.mean()) for item in kept] == [0, 1, 2, 3, 4]


# --- what needs a process ---------------------------------------------------------------------------------


def test_a_timeout_kills_and_the_next_use_restarts(make_pool):
    lease = make_pool().acquire(toy())
    first = lease.call("pid")
    with pytest.raises(CallTimeout, match=r"toy\.sleep took longer than 0\.1 s"):
        lease.call("sleep", 30, timeout_s=0.1)
    assert lease.call("pid") != first


def test_a_killed_worker_tells_its_callers_and_comes_back(make_pool):
    pool = make_pool()
    lease = pool.acquire(toy())
    errors = []

    def wait_behind():
        try:
            lease.call("echo")
        except ResidencyError as error:
            errors.append(error)

    lease.preload().result(10)
    thread = threading.Thread(target=wait_behind)
    with pytest.raises(WorkerDied, match="SIGKILL"):
        lease.call("die")
    thread.start()
    thread.join()
    assert not errors, "the next use restarts"
    assert pool.snapshot()[0].loads == 2


def test_three_failures_in_a_row_are_final_until_reset(make_pool):
    pool = make_pool(backoff_s=(0.0, 0.0))
    lease = pool.acquire(toy())
    for _ in range(3):
        with pytest.raises(WorkerDied):
            lease.call("die")
    assert state(pool) is ModelState.FAILED
    with pytest.raises(ModelFailed, match="SIGKILL"):
        lease.call("echo")
    pool.reset("toy")
    assert lease.call("echo", 1) == 1


def test_unpicklable_things_are_refused_in_one_sentence(make_pool):
    lease = make_pool().acquire(toy())
    with pytest.raises(NotPicklable, match=r"an argument of toy\.echo"):
        lease.call("echo", lambda: None)
    with pytest.raises(EngineError, match="result of unpicklable"):
        lease.call("unpicklable")
    with pytest.raises(EngineError, match=r"use|stream"):
        lease.call("numbers", 3)
    assert lease.call("echo", np.float32(2)) == 2
