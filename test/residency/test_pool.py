"""What the pool decides, with fake workers and a clock that stands still."""

from __future__ import annotations

import os
import threading

import pytest
from fake_worker import FakeClock, FakeFactory

from bbia_ros.residency import (
    AdmissionRefused,
    CallCancelled,
    EngineError,
    LeaseReleased,
    LedgerEntry,
    LoadFailed,
    Measurements,
    ModelFailed,
    ModelSpec,
    ModelState,
    Pool,
    ResidencyError,
    WorkerDied,
)
from bbia_ros.residency.resident import HEALTHY_S


def spec(name: str, mb: float = 100, **fields) -> ModelSpec:
    arguments = {"mb": mb, **fields.pop("arguments", {})}
    return ModelSpec(name, "test", "fake:Fake", arguments, declared_mb=fields.pop("declared_mb", mb), **fields)


class Bench:
    """A pool with fakes, and calls that last as long as the test says."""

    def __init__(self, **arguments) -> None:
        self.clock = FakeClock()
        self.factory = FakeFactory()
        arguments = {
            "measurements": Measurements(""),
            "backoff_s": (0.0, 0.0),
            "settle_s": 0.05,
            "busy_s": 0.05,
            **arguments,
        }
        self.pool = Pool(worker_factory=self.factory, clock=self.clock, supervise=False, **arguments)
        self.threads: dict[str, threading.Thread] = {}
        self.outcomes: dict[str, object] = {}

    def use(self, *names_or_specs) -> None:
        """Call each model once, a second apart."""
        for one in names_or_specs:
            lease = self.pool.acquire(one)
            self.clock.now += 1
            lease.call("echo")

    def hold(self, lease, key: str) -> None:
        """Have a call in flight until `factory.let_go(key)`."""

        def run() -> None:
            try:
                self.outcomes[key] = lease.call("hold", key)
            except ResidencyError as error:
                self.outcomes[key] = error

        thread = threading.Thread(target=run)
        thread.start()
        self.threads[key] = thread
        while key not in self.factory.holding:
            threading.Event().wait(0.001)

    def let_go(self, key: str) -> object:
        self.factory.let_go(key)
        return self.outcome(key)

    def outcome(self, key: str) -> object:
        self.threads[key].join()
        return self.outcomes[key]

    def states(self) -> dict[str, str]:
        return {info.name: str(info.state) for info in self.pool.snapshot()}

    def info(self, name: str):
        return next(info for info in self.pool.snapshot() if info.name == name)


@pytest.fixture
def bench():
    benches = []

    def make(**arguments) -> Bench:
        benches.append(Bench(**arguments))
        return benches[-1]

    yield make
    for one in benches:
        one.pool.close()
        for thread in one.threads.values():
            thread.join()


# --- admission --------------------------------------------------------------------------------------------


def test_the_least_recently_used_goes_first_and_comes_back_when_called(bench):
    b = bench(budget_mb=350)
    a, c = spec("a"), spec("c")
    b.use(a, spec("b"), c)
    b.use(a)  # now b is the oldest
    lease = b.pool.acquire(spec("d"))
    lease.call("echo")
    assert b.states() == {"a": "IDLE", "b": "ABSENT", "c": "IDLE", "d": "IDLE"}
    assert b.info("b").evictions == 1
    assert b.info("b").last_release.reason == "evicted"
    b.use(spec("b"))
    assert b.states() == {"a": "IDLE", "b": "IDLE", "c": "ABSENT", "d": "IDLE"}, "used last counts, not loaded last"


def test_use_counts_from_the_end_of_the_call(bench):
    b = bench(budget_mb=250)
    lease = b.pool.acquire(spec("long"))
    b.hold(lease, "x")
    b.use(spec("short"))
    b.clock.now += 1
    b.let_go("x")
    b.use(spec("third"))
    assert b.states() == {"long": "IDLE", "short": "ABSENT", "third": "IDLE"}


def test_room_is_made_before_loading(bench):
    b = bench(budget_mb=250)
    b.use(spec("a"), spec("b"), spec("c"))
    log = b.factory.log
    assert log.index(("end", "a")) < log.index(("load", "c"))


def test_neither_busy_nor_pinned_models_go_and_the_refusal_names_them(bench):
    b = bench(budget_mb=250)
    b.hold(b.pool.acquire(spec("busy")), "x")
    b.use(spec("pinned", pinned=True))
    with pytest.raises(AdmissionRefused) as caught:
        b.use(spec("third"))
    assert str(caught.value) == (
        "third is not loaded: it needs 100 MB and 50 MB of the budget of 250 MB are free; "
        "held by busy 100 MB (BUSY), pinned 100 MB (IDLE, pinned)"
    )
    assert b.info("third").state is ModelState.ABSENT
    assert b.info("third").last_error == str(caught.value)
    assert b.let_go("x") == "x"
    b.use(spec("third"))
    assert b.states() == {"busy": "ABSENT", "pinned": "IDLE", "third": "IDLE"}


def test_nothing_goes_for_a_model_that_would_not_fit_anyway(bench):
    b = bench(budget_mb=300)
    b.use(spec("small"))
    with pytest.raises(AdmissionRefused, match="needs 301 MB and the whole budget is 300 MB: raise the budget"):
        b.use(spec("huge", 301))
    b.hold(b.pool.acquire(spec("busy")), "x")
    with pytest.raises(AdmissionRefused):
        b.use(spec("large", 250))
    assert b.states()["small"] == "IDLE"
    b.let_go("x")


def test_a_refusal_is_no_failure(bench):
    b = bench(budget_mb=100)
    lease = b.pool.acquire(spec("large", 200))
    for _ in range(5):
        with pytest.raises(AdmissionRefused):
            lease.call("echo")
    assert b.info("large").state is ModelState.ABSENT


def test_group_limits(bench):
    b = bench(group_limits={"stt": 2})
    b.use(spec("a", group="stt"), spec("b", group="stt"), spec("other", group="tts"))
    b.use(spec("c", group="stt"))
    assert b.states() == {"a": "ABSENT", "b": "IDLE", "other": "IDLE", "c": "IDLE"}
    b.hold(b.pool.acquire(spec("b", group="stt")), "b")
    b.hold(b.pool.acquire(spec("c", group="stt")), "c")
    with pytest.raises(AdmissionRefused, match=r"group stt is limited to 2 .* b 100 MB \(BUSY\), c 100 MB \(BUSY\)"):
        b.use(spec("a", group="stt"))
    b.let_go("b")
    b.let_go("c")


def test_pending_loads_count(bench):
    b = bench(budget_mb=150)
    b.factory.load_gate = threading.Event()
    first = b.pool.acquire(spec("first")).preload()
    while b.info("first").budget_bytes == 0:
        threading.Event().wait(0.001)
    assert b.info("first").state is ModelState.LOADING
    with pytest.raises(AdmissionRefused, match=r"first 100 MB \(LOADING\)"):
        b.use(spec("second"))
    b.factory.load_gate.set()
    first.result(5)


def test_the_peak_is_reserved_while_loading_and_the_rest_given_back(bench):
    b = bench(budget_mb=300)
    big = spec("big", 100, arguments={"extra_mb": 150})
    b.use(big)
    assert b.info("big").budget_bytes == 100_000_000
    b.use(spec("other"))
    b.pool.unload("big")
    b.use(big)  # known now: it takes 250 MB for a moment
    assert b.states() == {"big": "IDLE", "other": "ABSENT"}
    assert b.info("big").budget_bytes == 100_000_000


def test_measured_beats_declared(bench):
    b = bench(budget_mb=300)
    liar = spec("liar", 200, declared_mb=10)
    b.use(liar, spec("a", 90))
    b.pool.unload("liar")
    b.hold(b.pool.acquire(spec("a", 90)), "a")
    b.use(spec("b", 20))
    b.hold(b.pool.acquire(spec("b", 20)), "b")
    with pytest.raises(AdmissionRefused, match="liar is not loaded: it needs 200 MB"):
        b.use(liar)
    b.let_go("a")
    b.let_go("b")


def test_others_are_asked_once_when_they_are_in_the_way(bench, tmp_path):
    asked = []

    class Others:
        """A ledger in which another process holds 200 MB until it is asked."""

        pid = os.getpid()

        def read(self):
            size = 0 if self.polite and asked else 200_000_000
            entry = LedgerEntry("chat", "chat", "", size, "loaded", "brain", 1, size)
            return None, [entry] if size else []

        def reserve(self, name, size, budget, **about):
            return True

        def settle(self, *_):
            pass

        def release(self, names):
            pass

    ledger = Others()
    ledger.polite = False
    b = bench(budget_mb=250, ledger=ledger, ask=lambda missing, who: asked.append((missing, who)))
    with pytest.raises(AdmissionRefused, match=r"chat 200 MB \(loaded in brain\)"):
        b.use(spec("a"))
    assert asked == [(50_000_000, "a")]
    ledger.polite = True
    b.use(spec("a"))
    assert b.states() == {"a": "IDLE"}


def test_free_gives_the_oldest_idle_models(bench):
    b = bench()
    b.use(spec("a"), spec("b"), spec("c"), spec("pinned", pinned=True))
    b.hold(b.pool.acquire(spec("a")), "a")
    assert b.pool.free(50_000_000, "chat") == 100_000_000
    assert b.states() == {"a": "BUSY", "b": "ABSENT", "c": "IDLE", "pinned": "IDLE"}
    assert b.pool.free(500_000_000) == 100_000_000
    assert b.pool.free(1) == 0
    b.let_go("a")


# --- time to live -----------------------------------------------------------------------------------------


def test_ttl_counts_from_the_end_of_the_last_use(bench):
    b = bench()
    lease = b.pool.acquire(spec("a", ttl_s=300))
    b.hold(lease, "x")
    b.clock.now += 1000
    b.pool.step()
    assert b.states() == {"a": "BUSY"}
    b.let_go("x")
    b.clock.now += 299.75
    watch = b.pool.step()
    assert b.states() == {"a": "IDLE"}
    assert watch.delay_s == pytest.approx(0.25)
    b.clock.now += 0.25
    assert b.pool.step() is None, "nothing is left to watch"
    assert b.states() == {"a": "ABSENT"}
    assert (b.info("a").evictions, b.info("a").last_release.reason) == (1, "idle")
    assert lease.call("echo", 1) == 1


def test_ttl_zero_and_pinned_stay(bench):
    b = bench()
    b.use(spec("zero", ttl_s=0), spec("pinned", pinned=True))
    b.clock.now += 1e6
    b.pool.step()
    assert b.states() == {"zero": "IDLE", "pinned": "IDLE"}


def test_a_preload_counts_as_use_and_an_error_does_not_reset(bench):
    b = bench()
    lease = b.pool.acquire(spec("a", ttl_s=10))
    lease.preload().result(5)
    b.clock.now += 9
    b.pool.step()
    assert b.states() == {"a": "IDLE"}
    b.pool.on_change(lambda: 1 / 0)
    b.pool.reset("a")
    b.clock.now += 1
    b.pool.step()
    assert b.states() == {"a": "ABSENT"}


# --- holders ----------------------------------------------------------------------------------------------


def test_held_but_idle_models_can_be_unloaded_by_hand(bench):
    b = bench()
    lease = b.pool.acquire(spec("a"))
    assert b.pool.unload("a") is None
    lease.call("echo")
    record = b.pool.unload("a")
    assert (record.reason, record.held_bytes, record.returned_bytes) == ("unloaded", 100_000_000, 100_000_000)
    assert lease.call("echo", 1) == 1
    b.hold(lease, "x")
    with pytest.raises(ResidencyError, match="in use"):
        b.pool.unload("a")
    b.let_go("x")
    with pytest.raises(ResidencyError, match="no model 'b'"):
        b.pool.unload("b")


def test_release_cancels_own_calls_only(bench):
    b = bench()
    first, second = b.pool.acquire(spec("a")), b.pool.acquire(spec("a"))
    b.hold(first, "first")
    b.hold(second, "second")
    assert first.release() is None
    assert isinstance(b.outcome("first"), CallCancelled)
    assert b.let_go("second") == "second"
    assert second.release().reason == "released"


def test_cancel_leaves_the_lease_usable(bench):
    b = bench()
    lease = b.pool.acquire(spec("a"))
    b.hold(lease, "x")
    lease.cancel()
    assert isinstance(b.outcome("x"), CallCancelled)
    assert lease.call("echo", 2) == 2


def test_releasing_several_at_once(bench):
    b = bench()
    leases = [b.pool.acquire(spec(name)) for name in "abc"]
    leases[0].call("echo")
    leases[2].call("echo")
    records = b.pool.release([*leases, leases[0]])
    assert [record and record.name for record in records] == ["a", None, "c", None]
    assert b.pool.release(leases) == [None, None, None]
    assert set(b.states().values()) == {"ABSENT"}


def test_release_while_loading_ends_the_load(bench):
    b = bench()
    b.factory.load_gate = threading.Event()
    lease = b.pool.acquire(spec("a"))
    ready = lease.preload()
    while b.info("a").state is not ModelState.LOADING or not b.factory.workers:
        threading.Event().wait(0.001)
    lease.release()
    with pytest.raises(CallCancelled):
        ready.result(5)
    assert b.states() == {"a": "ABSENT"}
    assert b.info("a").last_error == ""
    b.factory.load_gate = None
    b.use(spec("a"))
    assert b.factory.loaded == {"a": 100_000_000}


def test_close_ends_everything_twice(bench):
    b = bench()
    b.use(spec("a"), spec("b", pinned=True))
    lease = b.pool.acquire(spec("a"))
    b.hold(lease, "x")
    b.pool.close()
    b.pool.close()
    assert isinstance(b.outcome("x"), CallCancelled)
    assert b.factory.loaded == {}
    with pytest.raises(LeaseReleased):
        lease.call("echo")
    with pytest.raises(LeaseReleased):
        b.pool.acquire(spec("a"))


# --- failures ---------------------------------------------------------------------------------------------


def test_three_failed_loads_in_a_row(bench):
    b = bench()
    lease = b.pool.acquire(spec("a"))
    b.factory.failing_loads = 3
    for _ in range(3):
        with pytest.raises(LoadFailed, match="a could not be loaded: the disk is gone"):
            lease.call("echo")
    assert b.info("a").state is ModelState.FAILED
    with pytest.raises(ModelFailed, match=r"failed 3 times in a row.*the disk is gone"):
        lease.call("echo")
    with pytest.raises(ModelFailed):
        lease.preload().result(0)
    assert b.info("a").budget_bytes == 0
    b.pool.reset("a")
    assert b.info("a").last_error == ""
    assert lease.call("echo", 1) == 1


def test_an_answer_between_failures_starts_the_count_anew(bench):
    b = bench()
    lease = b.pool.acquire(spec("a"))
    for _ in range(4):
        for _ in range(2):
            with pytest.raises(WorkerDied):
                lease.call("die")
        with pytest.raises(EngineError):
            lease.call("raise")
    assert b.info("a").state is ModelState.IDLE


def test_a_model_that_was_well_for_a_while_has_not_failed_in_a_row(bench):
    b = bench()
    lease = b.pool.acquire(spec("simulator"))
    for _ in range(5):  # serves without being called
        lease.preload().result(10)
        b.clock.now += HEALTHY_S
        b.factory.worker_of("simulator").dead = True
        b.pool.step()
    assert b.info("simulator").state is ModelState.ABSENT
    lease.preload().result(10)
    b.clock.now += HEALTHY_S
    b.pool.unload("simulator")
    for _ in range(3):  # those before it was unloaded in good health do not count
        assert b.info("simulator").state is ModelState.ABSENT
        lease.preload().result(10)
        b.clock.now += HEALTHY_S / 2
        b.factory.worker_of("simulator").dead = True
        b.pool.step()
    assert b.info("simulator").state is ModelState.FAILED


def test_who_takes_a_failed_model_that_nobody_holds_gives_it_a_fresh_start(bench):
    b = bench()
    first, second = b.pool.acquire(spec("a")), b.pool.acquire(spec("a"))
    b.factory.failing_loads = 3
    for _ in range(3):
        with pytest.raises(LoadFailed):
            first.call("echo")
    first.release()
    third = b.pool.acquire(spec("a"))
    with pytest.raises(ModelFailed):
        third.call("echo")
    second.release()
    third.release()
    assert b.info("a").state is ModelState.FAILED
    assert b.pool.acquire(spec("a")).call("echo", 1) == 1


def test_backoff(bench):
    b = bench(backoff_s=(5.0, 60.0))
    lease = b.pool.acquire(spec("a"))
    with pytest.raises(WorkerDied):
        lease.call("die")
    ready = lease.preload()
    with pytest.raises(TimeoutError):
        ready.result(0.05)
    assert b.info("a").state is ModelState.LOADING
    lease.release()
    assert b.states() == {"a": "ABSENT"}
    b.clock.now += 5
    b.use(spec("a"))


def test_an_idle_worker_that_dies_is_noticed(bench):
    b = bench()
    b.use(spec("a"))
    b.factory.worker_of("a").dead = True
    b.pool.step()
    assert b.states() == {"a": "ABSENT"}
    assert "killed" in b.info("a").last_error
    assert b.info("a").budget_bytes == 0


# --- workers shared by several models ---------------------------------------------------------------------


def test_models_share_a_worker(bench):
    b = bench()
    one, two = (b.pool.acquire(spec(name, worker="torch")) for name in ("one", "two"))
    one.call("echo")
    two.call("echo")
    assert len(b.factory.workers) == 1
    record = one.release()
    assert record.returned_bytes == 100_000_000
    assert b.factory.loaded == {"two": 100_000_000}
    assert two.call("echo", 3) == 3
    two.release()
    assert b.factory.workers[0].ended


def test_release_from_a_shared_worker_does_not_wait_for_a_neighbours_long_call(bench):
    b = bench()
    one, two = (b.pool.acquire(spec(name, worker="torch")) for name in ("one", "two"))
    two.call("echo")
    b.hold(one, "x")
    b.factory.unload_gate = threading.Event()
    assert two.release() is None, "not done yet"
    assert b.factory.loaded == {"one": 100_000_000, "two": 100_000_000}
    b.factory.unload_gate.set()
    while b.states()["two"] != "ABSENT":
        threading.Event().wait(0.001)
    assert b.info("two").last_release.returned_bytes == 100_000_000
    assert b.let_go("x") == "x"


def test_a_worker_that_dies_just_after_a_load_is_not_kept(bench):
    b = bench()
    lease = b.pool.acquire(spec("a"))
    b.factory.after_load = lambda worker: (setattr(worker, "dead", True), b.pool.step())
    with pytest.raises(LoadFailed, match="died"):
        lease.call("echo")
    b.factory.after_load = None
    assert lease.call("echo", 1) == 1


def test_a_busy_neighbour_keeps_a_shared_model(bench):
    b = bench(budget_mb=250)
    one, two = (b.pool.acquire(spec(name, worker="torch")) for name in ("one", "two"))
    two.call("echo")
    b.hold(one, "x")
    with pytest.raises(AdmissionRefused):
        b.use(spec("third"))
    b.let_go("x")
    b.use(spec("third"))
    assert b.states() == {"one": "IDLE", "two": "ABSENT", "third": "IDLE"}


def test_a_shared_workers_death_takes_all_and_blames_the_caller(bench):
    b = bench()
    one, two = (b.pool.acquire(spec(name, worker="torch")) for name in ("one", "two"))
    two.call("echo")
    with pytest.raises(WorkerDied):
        one.call("die")
    assert b.states() == {"one": "ABSENT", "two": "ABSENT"}
    assert b.info("one").last_error
    assert not b.info("two").last_error
    assert two.call("echo", 1) == 1


def test_neighbours_are_not_blamed_for_a_load_that_kills_their_worker(bench):
    b = bench()
    one, two = (b.pool.acquire(spec(name, worker="torch")) for name in ("one", "two"))
    one.call("echo")
    b.factory.after_load = lambda worker: (setattr(worker, "dead", True), b.pool.step())
    with pytest.raises(LoadFailed):
        two.call("echo")
    b.factory.after_load = None
    assert not b.info("one").last_error
    assert "died" in b.info("two").last_error
    assert one.call("echo", 1) == 1


# --- what users see ---------------------------------------------------------------------------------------


def test_changes_are_told(bench):
    b = bench()
    seen = []
    b.pool.on_change(lambda: seen.append(b.states()["a"]))
    lease = b.pool.acquire(spec("a"))
    lease.call("echo")
    b.pool.step()
    assert seen[-1] == "IDLE"
    b.pool.unload("a")
    b.pool.step()
    assert seen[-1] == "ABSENT"
    count = len(seen)
    b.pool.step()
    assert len(seen) == count


@pytest.mark.parametrize(
    "arguments",
    [{"budget_mb": 0}, {"budget_mb": float("nan")}, {"isolation": "thread"}, {"group_limits": {"stt": 0}}],
)
def test_bad_settings_are_refused(arguments):
    with pytest.raises(ValueError, match="expected"):
        Pool(measurements=Measurements(""), **arguments)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("engine", "no class"),
        ("declared_mb", 0),
        ("declared_mb", float("nan")),
        ("ttl_s", -1),
        ("nice", 20),
        ("load_timeout_s", 0),
    ],
)
def test_bad_specs_are_refused(field, value):
    with pytest.raises(ValueError, match=r"a model needs|expected"):
        ModelSpec(**{"name": "a", "task": "t", "engine": "m:C", field: value})
