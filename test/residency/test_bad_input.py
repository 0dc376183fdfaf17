"""What users and machines get wrong: each is one typed error that says what to do, and the pool stays usable."""

from __future__ import annotations

import errno
import os
import resource
import threading

import numpy as np
import pytest
from toy_specs import toy

from bbia_ros.residency import (
    AdmissionRefused,
    LoadFailed,
    Measurements,
    ModelSpec,
    ModelState,
    NoSharedMemory,
    Outgrown,
    OutOfMemory,
    Pool,
    ResidencyError,
    SpecConflict,
)
from bbia_ros.residency.accounting import uss_bytes


def usable(pool: Pool) -> None:
    """The pool still loads and answers, and nothing of the failed model is left."""
    with pool.acquire(toy("probe", declared_mb=30.0)) as lease:
        assert lease.call("echo", 1) == 1
    assert all(info.pid == 0 and info.budget_bytes == 0 for info in pool.snapshot())


def test_two_models_claim_one_worker_with_other_settings(make_pool):
    pool = make_pool()
    first = pool.acquire(toy("one", worker="torch", nice=10))
    with pytest.raises(SpecConflict, match=r"one and two claim one worker, torch, with niceness 10 and 0: give them"):
        pool.acquire(toy("two", worker="torch"))
    assert [info.name for info in pool.snapshot()] == ["one"]
    first.release()
    pool.acquire(toy("two", worker="torch"))
    with pytest.raises(SpecConflict):
        pool.acquire(toy("one", worker="torch", nice=10))
    pool.acquire(toy("three", worker="other", nice=10))


def test_one_name_for_two_models(make_pool):
    pool = make_pool()
    pool.acquire(toy("one", mb=1, ttl_s=10))
    with pytest.raises(SpecConflict, match=r"one is held already, with other settings: .*'mb': 1.* and not .*'mb': 2"):
        pool.acquire(toy("one", mb=2, ttl_s=10))


def test_settings_that_may_change_while_a_model_is_held(make_pool):
    pool = make_pool()
    lease = pool.acquire(toy("one", ttl_s=10))
    pool.adjust("one", ttl_s=20, pinned=True)
    (info,) = pool.snapshot()
    assert (info.ttl_s, info.pinned, lease.spec.ttl_s) == (20, True, 20)
    pool.acquire(toy("one", ttl_s=10))
    pool.acquire(toy("one", ttl_s=20, pinned=True))
    with pytest.raises(ValueError, match="ttl_s of one is -1"):
        pool.adjust("one", ttl_s=-1)
    with pytest.raises(ResidencyError, match="no model 'two'"):
        pool.adjust("two", ttl_s=1)


@pytest.mark.heavy
def test_a_budget_smaller_than_the_model(make_pool):
    pool = make_pool(budget_mb=50)
    with pytest.raises(AdmissionRefused, match=r"needs 60 MB and the whole budget is 50 MB: raise the budget"):
        pool.acquire(toy("big", declared_mb=60)).call("echo")
    usable(pool)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("no_such_library:Engine", r"No module named 'no_such_library' \(engine no_such_library:Engine\): install it"),
        (
            "broken_library:Engine",
            r"breaks when it is imported \(RuntimeError: operator torchvision::nms does not exist",
        ),
        ("toy_engines:Nothing", r"module toy_engines has no engine Nothing"),
    ],
)
def test_an_engine_whose_library_is_missing_or_broken(make_pool, engine, words):
    pool = make_pool()
    with pytest.raises(LoadFailed, match=words):
        pool.acquire(ModelSpec("a", "test", engine)).call("echo")
    assert pool.snapshot()[0].state is ModelState.ABSENT
    usable(pool)


@pytest.mark.heavy
def test_a_model_that_hangs_while_it_loads(make_pool):
    pool = make_pool()
    with pytest.raises(LoadFailed, match=r"within 0.3 s and its worker was ended: .* larger load_timeout_s"):
        pool.acquire(toy("a", load_s=60.0, load_timeout_s=0.3)).call("echo")
    usable(pool)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ("python", OutOfMemory, "the system gave it no memory .*free some, or choose a smaller model"),
        ("binding", OutOfMemory, "std::bad_alloc"),
        ("c++", LoadFailed, r"SIGABRT \(so libraries and the kernel end processes when memory runs out\)"),
    ],
)
def test_the_system_has_no_memory_for_a_load(make_pool, how, error, words):
    pool = make_pool()
    with pytest.raises(error, match=words):
        pool.acquire(toy("a", engine="Starved", how=how)).call("echo")
    usable(pool)


@pytest.mark.heavy
def test_no_shared_memory_for_an_argument(make_pool, monkeypatch):
    lease = make_pool().acquire(toy())
    frame = np.ones((480, 640, 3), np.uint8)
    pid = lease.call("pid")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(NoSharedMemory, match=r"toy\.total: 0\.9 MB cannot cross .*: free memory"):
            lease.call("total", frame)
        with pytest.raises(NoSharedMemory), lease.stream("echo", frame) as stream:
            next(stream)
        assert lease.call("echo", 1) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert lease.call("total", frame) == frame.size - 1

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    # Written pages that are not there would be SIGBUS: they are allocated before.
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(NoSharedMemory, match="No space left on device"):
        lease.call("total", np.ones(3_000_000, np.uint8))
    assert lease.call("total", frame) == frame.size - 1, "there is memory for it already"
    assert lease.call("pid") == pid


@pytest.mark.heavy
def test_no_shared_memory_for_a_result(make_pool):
    lease = make_pool().acquire(toy(engine="Cramped"))
    pid = lease.call("pid")
    lease.call("cramp")
    with pytest.raises(NoSharedMemory, match=r"the result of toy\.frame: 0\.9 MB cannot cross"):
        lease.call("frame")
    with pytest.raises(NoSharedMemory):
        list(lease.stream("frames", 3))
    assert lease.call("echo", 1) == 1
    lease.call("relax")
    assert lease.call("frame").shape == (480, 640, 3)
    assert lease.call("pid") == pid


# --- what real processes take -----------------------------------------------------------------------------


@pytest.mark.heavy
def test_a_real_load_that_outgrows_the_budget_is_ended(make_pool):
    pool = make_pool(budget_mb=150, settle_s=0.05)
    with pytest.raises(Outgrown) as caught:
        pool.acquire(toy("big", engine="Hoarder", mb=400, declared_mb=50.0)).call("pid")
    assert "admitted with" in str(caught.value)
    reached = int(str(caught.value).split("needs ")[1].split(" MB")[0])
    assert 150 <= reached < 250, "long before 400"
    assert pool.snapshot()[0].state is ModelState.ABSENT
    usable(pool)


@pytest.mark.heavy
def test_a_real_load_that_outgrows_its_admission_evicts_the_idle(make_pool):
    pool = make_pool(budget_mb=220)
    idle = pool.acquire(toy("idle", mb=100, declared_mb=130.0))
    idle.call("echo")
    big = pool.acquire(toy("big", engine="Hoarder", mb=150, declared_mb=50.0))
    pid = big.call("pid")
    infos = {info.name: info for info in pool.snapshot()}
    assert infos["idle"].last_release.reason == "evicted"
    assert infos["big"].budget_bytes == pytest.approx(uss_bytes(pid), rel=0.05)
    pool.unload("big")
    assert idle.call("echo", 1) == 1


@pytest.mark.heavy
def test_real_growth_in_use_evicts_the_idle(make_pool):
    pool = make_pool(budget_mb=220, eviction="lru")  # not by reload seconds: those of two toys are alike
    idle = pool.acquire(toy("idle", mb=100, declared_mb=130.0))
    idle.call("echo")
    lease = pool.acquire(toy("a", engine="Hoarder", declared_mb=40.0))
    lease.call("grow", 140)
    for _ in range(2000):
        infos = {info.name: info for info in pool.snapshot()}
        if infos["idle"].state is ModelState.ABSENT and infos["a"].budget_bytes > 140_000_000:
            break
        threading.Event().wait(0.005)
    assert infos["idle"].last_release.reason == "evicted"
    assert infos["a"].budget_bytes > 140_000_000


@pytest.mark.heavy
def test_mapped_files_count_while_nobody_else_maps_them(make_pool, tmp_path):
    """They come back with the worker, and what others map too does not."""
    path = tmp_path / "weights"
    path.write_bytes(b"x" * 60_000_000)
    measurements = Measurements("")
    pool = make_pool(measurements=measurements)
    lease = pool.acquire(toy("a", engine="Mapper", path=str(path)))
    lease.call("pid")
    alone = pool.snapshot()[0].budget_bytes
    assert alone > 60_000_000
    other = pool.acquire(toy("b", engine="Mapper", path=str(path)))
    other.call("pid")
    assert pool.snapshot()[1].budget_bytes < alone - 50_000_000
    assert measurements.peak_bytes(other.spec) < alone - 50_000_000, "nor in the peak"


@pytest.mark.heavy
def test_a_model_that_leaks_in_our_process_moves_to_a_worker(make_pool, caplog):
    pool = make_pool(isolation="inline")
    lease = pool.acquire(toy("a", engine="Leaker", mb=40))
    tidy = pool.acquire(toy("b", mb=40))
    assert lease.call("pid") == tidy.call("pid") == os.getpid()
    assert pool.unload("b").returned_bytes > 35_000_000
    record = pool.unload("a")
    assert record.held_bytes - record.returned_bytes > 35_000_000
    assert {info.name: info.leaking for info in pool.snapshot()} == {"a": True, "b": False}
    assert caplog.text.count("leaks in this process") == 1
    pid = lease.call("pid")
    assert pid != os.getpid()
    record = pool.unload("a")
    assert record.returned_bytes == record.held_bytes > 40_000_000
    assert tidy.call("pid") == os.getpid()
