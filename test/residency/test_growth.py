"""Models that take more than they were admitted with, while they load and in use."""

from __future__ import annotations

import logging
import threading

import pytest
from fake_worker import FakeClock, FakeFactory
from test_ledger import foreign
from test_pool import spec

from bbia_ros.residency import AdmissionRefused, Ledger, LedgerEntry, Limits, Measurements, Outgrown, Pool
from bbia_ros.residency.accounting import start_time

MB = 1_000_000


class Bench:
    """A pool over fake workers that asserts its budget at each step of each load."""

    def __init__(self, budget_mb: float | None = None, **arguments) -> None:
        self.clock = FakeClock()
        self.factory = FakeFactory(clock=self.clock)
        self.measurements = Measurements("")
        arguments = {
            "measurements": self.measurements,
            "settle_s": 0.05,
            "busy_s": 0.05,
            "budget_mb": budget_mb,
            **arguments,
        }
        self.pool = Pool(worker_factory=self.factory, clock=self.clock, supervise=False, **arguments)

    def use(self, *specs) -> None:
        for one in specs:
            self.clock.now += 1
            self.pool.acquire(one).call("echo")

    def info(self, name: str):
        return next(info for info in self.pool.snapshot() if info.name == name)

    def time_passes(self, seconds: float = 1.0) -> None:
        self.clock.now += seconds
        self.pool.step()

    @property
    def loaded(self) -> set[str]:
        return set(self.factory.loaded)


@pytest.fixture
def bench():
    benches = []

    def make(*args, **arguments) -> Bench:
        benches.append(Bench(*args, **arguments))
        return benches[-1]

    yield make
    for one in benches:
        one.pool.close()


def growing(name: str, declared_mb: float, *reaches: float, **fields):
    return spec(name, reaches[-1], declared_mb=declared_mb, arguments={"reaches": reaches}, **fields)


# --- while loading ----------------------------------------------------------------------------------------


def test_a_load_that_outgrows_its_admission_gets_room(bench):
    b = bench(300)
    b.use(spec("old"), spec("new"))
    b.use(growing("big", 50, 40, 120, 180))
    assert b.loaded == {"big", "new"}
    assert b.factory.log.index(("pause", "")) < b.factory.log.index(("end", "old")), "it waits for the room"
    assert b.info("big").budget_bytes == 180 * MB
    assert b.info("big").last_error == ""
    b.pool.unload("big")
    b.use(spec("old"))
    b.use(growing("big", 50, 40, 120, 180))
    assert b.loaded & {"big"}
    brief = spec("brief", 60, declared_mb=50, arguments={"reaches": (120,), "extra_mb": 20})
    b.use(brief)
    assert b.measurements.peak_bytes(brief) == 120 * MB, "though it says 80"
    assert b.measurements.peak_bytes(growing("big", 50, 40, 120, 180)) == 180 * MB, "admitted with it from now on"


def test_a_load_that_outgrows_the_budget_is_ended(bench):
    b = bench(300)
    b.use(spec("pinned", 150, pinned=True))
    big = growing("big", 50, 40, 120, 180, 400)
    with pytest.raises(Outgrown) as caught:
        b.use(big)
    assert str(caught.value) == (
        "big is not loaded: it needs 180 MB and 150 MB of the budget of 300 MB are free; held by pinned 150 MB "
        "(IDLE, pinned) (it was admitted with 132 MB, had reached 180 MB while it was being built, and was ended)"
    )
    assert b.loaded == {"pinned"}
    assert b.info("big").budget_bytes == 0
    assert str(b.info("big").state) == "ABSENT", "no failure of the model"
    with pytest.raises(AdmissionRefused, match="needs 180 MB"):
        b.use(big)
    assert len(b.factory.workers) == 2, "not even tried again"
    b.use(spec("other"))


def test_an_engine_that_is_larger_than_admitted_in_the_end_is_noticed_too(bench):
    b = bench(200)
    b.use(spec("pinned", pinned=True))
    with pytest.raises(Outgrown, match=r"needs 150 MB .* pinned 100 MB"):
        b.use(spec("liar", 150, declared_mb=50))
    assert b.loaded == {"pinned"}
    b.use(spec("fits", 90, declared_mb=50))
    assert b.info("fits").budget_bytes == 90 * MB


def test_a_load_that_holds_too_much_does_not_wait_long_for_others(bench):
    b = bench(200, busy_s=600.0)
    busy = b.pool.acquire(spec("busy"))
    thread = threading.Thread(target=lambda: busy.call("hold", "x"))
    thread.start()
    while "x" not in b.factory.holding:
        threading.Event().wait(0.001)
    with pytest.raises(Outgrown, match=r"busy 100 MB \(BUSY\)"):
        b.use(growing("big", 50, 150))
    b.factory.let_go("x")
    thread.join()


def test_a_gentle_load_does_not_evict_for_its_growth_either(bench):
    b = bench(200)
    b.use(spec("a"))
    lease = b.pool.acquire(growing("big", 50, 120))
    assert isinstance(lease.preload(evict=False).exception(5), Outgrown)
    assert b.loaded == {"a"}


def test_what_outgrows_in_a_shared_worker_leaves_its_neighbours_usable(bench):
    b = bench(200)
    one, two = (b.pool.acquire(one) for one in (spec("one", worker="torch"), growing("two", 50, 150, worker="torch")))
    one.call("echo")
    b.pool.adjust("one", pinned=True)
    with pytest.raises(Outgrown):
        two.call("echo")
    assert not b.info("one").last_error
    assert one.call("echo", 1) == 1


# --- in use -----------------------------------------------------------------------------------------------


def test_growth_in_use_is_reserved_and_idle_ones_make_room(bench, tmp_path):
    b = bench(300, ledger=Ledger(tmp_path / "ledger.json"))
    b.use(spec("old"), spec("new"))
    lease = b.pool.acquire(spec("a", 50))
    lease.call("echo")
    lease.call("grow", 45)
    b.time_passes()
    assert b.loaded == {"old", "new", "a"}
    assert {entry.name: entry.bytes for entry in Ledger(tmp_path / "ledger.json").entries()}["a"] == 95 * MB
    lease.call("grow", 30)
    b.time_passes()
    assert b.loaded == {"new", "a"}
    assert b.info("old").last_release.reason == "evicted"
    b.time_passes()
    assert b.loaded == {"new", "a"}


def test_growth_of_what_is_in_use_and_nothing_idle_is_told_and_mended_as_soon_as_possible(bench, caplog):
    asked = threading.Event()
    b = bench(200, ask=lambda missing, who: asked.set())
    busy = b.pool.acquire(spec("busy"))
    thread = threading.Thread(target=lambda: busy.call("hold", "x"))
    thread.start()
    while "x" not in b.factory.holding:
        threading.Event().wait(0.001)
    b.use(spec("a"))
    b.factory.worker_of("busy").models["busy"] += 30 * MB
    b.factory.worker_of("a").models["a"] += 30 * MB
    b.pool._registry.residents["a"].users += 1  # a call of which the test need not wait for the end
    with caplog.at_level(logging.WARNING):
        b.time_passes()
    assert "60 MB over the budget since busy, a has grown" in caplog.text
    assert asked.wait(5)
    b.pool._registry.residents["a"].users -= 1
    b.time_passes(0.2)
    assert b.loaded == {"busy"}
    b.factory.let_go("x")
    thread.join()


def test_the_others_are_measured_anew_when_a_worker_has_ended(bench):
    """What it shared with one of them is private to that one now."""
    b = bench()
    b.use(spec("a"), spec("b"))
    b.time_passes()
    b.factory.log.clear()
    b.time_passes()
    assert ("exact", "b") not in b.factory.log
    b.pool.unload("a")
    b.time_passes()
    assert b.factory.log.count(("exact", "b")) == 1
    b.time_passes()
    assert b.factory.log.count(("exact", "b")) == 1


def test_small_changes_are_no_growth(bench, tmp_path):
    b = bench(300, ledger=Ledger(tmp_path / "ledger.json"))
    lease = b.pool.acquire(spec("a", 50))
    lease.call("echo")
    version = b.pool.ledger.version()
    lease.call("grow", 0.9)
    b.time_passes()
    assert b.pool.ledger.version() == version


def test_several_in_one_worker_are_counted_together(bench):
    b = bench(300)
    one, two = (b.pool.acquire(spec(name, worker="torch")) for name in ("one", "two"))
    one.call("echo")
    two.call("echo")
    b.clock.now += 1
    one.call("grow", 40)
    b.time_passes()
    assert (b.info("one").budget_bytes, b.info("two").budget_bytes) == (140 * MB, 100 * MB)


# --- other processes --------------------------------------------------------------------------------------


def test_limits_that_another_process_lowers_are_followed(bench, tmp_path):
    path = tmp_path / "ledger.json"
    b = bench(300, ledger=Ledger(path))
    b.use(spec("a"), spec("b"), spec("c"))
    b.time_passes()
    Ledger(path).set_limits(Limits(150 * MB, eviction="lru"))
    b.time_passes()
    assert b.loaded == {"c"}


def test_processes_that_are_over_a_limit_do_not_both_give_way(bench, tmp_path):
    """What one has decided to let go counts as gone for the other before it is."""
    import subprocess

    path = tmp_path / "ledger.json"
    process = subprocess.Popen(["sleep", "60"])
    try:
        theirs = bench(ledger=Ledger(path))
        theirs.pool.ledger.pid, theirs.pool.ledger._start = process.pid, start_time(process.pid)
        mine = bench(ledger=Ledger(path))
        theirs.use(spec("x"))
        mine.use(spec("a"))
        theirs.factory.unload_gate = None
        decided, finish = threading.Event(), threading.Event()
        retire = theirs.pool._unloader.retire

        def slowly(victims, reason, *rest):
            if victims:
                decided.set()
                finish.wait(10)
            return retire(victims, reason, *rest)

        theirs.pool._unloader.retire = slowly
        Ledger(path).set_limits(Limits(150 * MB))
        thread = threading.Thread(target=theirs.time_passes)
        thread.start()
        assert decided.wait(5)
        mine.time_passes()
        assert mine.loaded == {"a"}
        finish.set()
        thread.join()
        assert (theirs.loaded, mine.loaded) == (set(), {"a"})
    finally:
        theirs.pool._unloader.retire = retire
        process.kill()
        process.wait()


def test_a_load_waits_for_the_peak_of_another_one(bench):
    b = bench(300, settle_s=10.0)
    peaky = spec("peaky", 100, arguments={"extra_mb": 150})
    b.use(peaky)
    b.pool.unload("peaky")
    b.factory.load_gate = threading.Event()
    first = b.pool.acquire(peaky).preload()
    while b.info("peaky").budget_bytes == 0:
        threading.Event().wait(0.001)
    second = b.pool.acquire(spec("second")).preload()
    with pytest.raises(TimeoutError):
        second.result(0.1)
    b.factory.load_gate.set()
    assert first.exception(5) is None
    assert second.exception(5) is None
    assert b.loaded == {"peaky", "second"}


def test_a_load_that_can_hope_for_nothing_is_refused_at_once(bench):
    b = bench(300, settle_s=60.0)
    known = spec("known", 250)
    b.use(known)
    b.pool.unload("known")
    b.factory.load_gate = threading.Event()
    first = b.pool.acquire(known).preload()
    while b.info("known").budget_bytes == 0:
        threading.Event().wait(0.001)
    assert isinstance(b.pool.acquire(spec("second")).preload().exception(5), AdmissionRefused)
    b.factory.load_gate.set()
    first.result(5)


def test_a_call_waits_for_a_load_in_its_way_and_takes_its_room(bench):
    b = bench(300, busy_s=10.0)
    faces = spec("faces", 200, background=True)
    b.use(faces)
    b.pool.unload("faces")
    gate = b.factory.load_gate = threading.Event()
    first = b.pool.acquire(faces).preload()
    while b.info("faces").budget_bytes == 0:
        threading.Event().wait(0.001)
    second = b.pool.acquire(spec("stt", 200)).preload()
    with pytest.raises(TimeoutError):
        second.result(0.1)
    gate.set()
    assert first.exception(5) is None
    assert second.exception(5) is None
    assert b.loaded == {"stt"}


def test_a_load_waits_for_the_peak_of_another_process(bench, tmp_path):
    import subprocess

    path = tmp_path / "ledger.json"
    process = subprocess.Popen(["sleep", "60"])
    try:
        theirs = Ledger(path)
        theirs.pid, theirs._start = process.pid, start_time(process.pid)
        assert theirs.reserve("x", 250 * MB, None, settled=100 * MB)
        b = bench(300, ledger=Ledger(path), settle_s=10.0)
        ready = b.pool.acquire(spec("a")).preload()
        with pytest.raises(TimeoutError):
            ready.result(0.2)
        theirs.settle("x", 100 * MB)
        assert ready.exception(5) is None
        foreign(path, process.pid, start_time(process.pid), "x", 250 * MB)
        assert isinstance(b.pool.acquire(spec("b")).preload().exception(5), AdmissionRefused)
        rows: list[LedgerEntry] = Ledger(path).entries()
        assert {row.name: row.settled_bytes for row in rows} == {"x": 250 * MB, "a": 100 * MB}
    finally:
        process.kill()
        process.wait()


def test_reload_seconds_are_remembered_and_weighed(bench):
    b = bench(250)
    slow, quick = spec("slow", arguments={"load_s": 20}), spec("quick", arguments={"load_s": 0.5})
    b.use(slow, quick)
    assert b.measurements.load_s(slow) == 20
    b.clock.now += 60
    b.use(spec("third"))
    assert b.loaded == {"slow", "third"}, "quick was used later, but is back sooner"
