"""Limits: at run time, across processes, and what prefetching and gentle loads leave alone."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from fake_worker import FakeClock, FakeFactory
from test_ledger import foreign
from test_pool import spec

from bbia_ros.residency import AdmissionRefused, Ledger, Limits, Measurements, Pool
from bbia_ros.residency.accounting import start_time

MB = 1_000_000


class Bench:
    def __init__(self, **arguments) -> None:
        self.clock = FakeClock()
        self.factory = FakeFactory()
        arguments = {"measurements": Measurements(""), "settle_s": 0.05, "busy_s": 0.05, **arguments}
        self.pool = Pool(worker_factory=self.factory, clock=self.clock, supervise=False, **arguments)

    def use(self, *specs) -> None:
        for one in specs:
            self.clock.now += 1
            self.pool.acquire(one).call("echo")

    @property
    def loaded(self) -> set[str]:
        return set(self.factory.loaded)


@pytest.fixture
def bench():
    benches = []

    def make(**arguments) -> Bench:
        benches.append(Bench(**arguments))
        return benches[-1]

    yield make
    for one in benches:
        one.pool.close()


@pytest.fixture
def neighbour():
    """A process that lives, and is not ours."""
    process = subprocess.Popen(["sleep", "60"])
    yield process.pid, start_time(process.pid)
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    "arguments", [{"budget_bytes": 0}, {"groups": {"stt": 0}}, {"eviction": "random"}, {"budget_bytes": float("nan")}]
)
def test_limits_that_make_no_sense_are_refused(arguments):
    with pytest.raises(ValueError, match="expected"):
        Limits(**arguments)


def test_limits_change_at_run_time(bench):
    b = bench()
    b.use(spec("a"), spec("b"), spec("c"))
    assert b.pool.limits == Limits()
    b.pool.set_limits(Limits(250 * MB, eviction="lru"))
    assert b.loaded == {"b", "c"}, "what is over goes at once"
    assert b.pool.eviction == "lru"
    b.use(spec("d"))
    assert b.loaded == {"c", "d"}
    b.pool.set_limits(Limits(None, {"stt": 1}))
    b.use(spec("e", group="stt"), spec("f", group="stt"))
    assert b.loaded == {"c", "d", "f"}
    b.pool.set_limits(Limits())
    b.use(spec("e", group="stt"), spec("large", 150, group="stt"))
    b.pool.set_limits(Limits(None, {"stt": 2}))
    assert b.loaded == {"c", "d", "e", "f"}, "the larger one of the group goes"


def test_limits_in_the_ledger_win_and_hold_for_every_pool(bench, tmp_path):
    path = tmp_path / "ledger.json"
    mine = bench(budget_mb=1000, ledger=Ledger(path))
    assert mine.pool.limits.budget_bytes == 1000 * MB
    Ledger(path).set_limits(Limits(150 * MB, {"stt": 1}, "lru"))
    assert mine.pool.limits == Limits(150 * MB, {"stt": 1}, "lru")
    mine.use(spec("a"), spec("b"))
    assert mine.loaded == {"b"}
    mine.pool.ledger.clear()
    assert Ledger(path).limits() == Limits(150 * MB, {"stt": 1}, "lru"), "they are not the models'"


def test_limits_outlive_who_set_them_but_not_their_run(tmp_path):
    path = tmp_path / "ledger.json"
    code = (
        "import sys; from pathlib import Path; from bbia_ros.residency import Ledger, Limits;"
        "Ledger(Path(sys.argv[1])).set_limits(Limits(5)); print(flush=True); sys.stdin.read()"
    )
    setter = subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    setter.stdout.readline()
    saw = Ledger(path)
    assert saw.limits() == Limits(5)
    setter.communicate()
    assert saw.limits() == Limits(5)
    assert Ledger(path).limits() is None, "left over from an earlier run"
    path.write_text("{")
    assert saw.limits() == Limits(5), "a damaged file changes nothing"
    saw.set_limits(Limits(7))
    assert Ledger(path).limits() == Limits(7)


def test_entries_say_who_holds_what(bench, tmp_path, neighbour):
    path = tmp_path / "ledger.json"
    foreign(path, *neighbour)
    b = bench(ledger=Ledger(path, process="control"))
    b.use(spec("a", group="stt"))
    rows = {entry.name: entry for entry in Ledger(path).entries()}
    assert (rows["a"].task, rows["a"].group, rows["a"].bytes) == ("test", "stt", 100 * MB)
    assert (rows["a"].state, rows["a"].process) == ("loaded", "control")
    assert (rows["chat"].process, rows["chat"].pid, rows["chat"].bytes) == ("brain", neighbour[0], 100 * MB)
    assert b.pool.ledger.entries() == list(rows.values())


def test_groups_count_the_models_of_all_processes(bench, tmp_path, neighbour):
    path = tmp_path / "ledger.json"
    theirs = Ledger(path, process="brain")
    theirs.pid, theirs._start = neighbour
    theirs.reserve("x", 50 * MB, None, group="stt")
    b = bench(group_limits={"stt": 2}, ledger=Ledger(path))
    b.use(spec("a", group="stt"), spec("b", group="stt"))
    assert b.loaded == {"b"}
    b.pool.set_limits(Limits(None, {"stt": 1}))
    assert b.loaded == set()
    with pytest.raises(AdmissionRefused, match=r"group stt is limited to 1 .* x 50 MB \(loading in brain\)"):
        b.use(spec("a", group="stt"))


def test_a_preload_that_may_not_evict(bench):
    b = bench(budget_mb=250, group_limits={"stt": 1})
    b.use(spec("a"), spec("s", 50, group="stt"))
    gentle = b.pool.acquire(spec("b", 110))
    assert isinstance(gentle.preload(evict=False).exception(5), AdmissionRefused)
    other = b.pool.acquire(spec("t", 50, group="stt"))
    assert isinstance(other.preload(evict=False).exception(5), AdmissionRefused)
    assert b.loaded == {"a", "s"}
    assert b.pool.acquire(spec("c", 100)).preload(evict=False).exception(5) is None
    assert gentle.preload().exception(5) is None
    assert b.loaded == {"b", "c"}


def test_a_prefetch_leaves_alone_what_is_used_or_prefetched_itself(bench):
    b = bench(budget_mb=250, eviction="lru")
    b.use(spec("a"), spec("b"))
    wish = b.pool.acquire(spec("c"))
    assert isinstance(wish.prefetch().exception(5), AdmissionRefused), "both were used just now"
    b.clock.now += 4
    assert wish.prefetch(30).exception(5) is None
    assert b.loaded == {"b", "c"}
    b.clock.now += 5
    more = b.pool.acquire(spec("d"))
    assert more.prefetch(30).exception(5) is None
    assert b.loaded == {"c", "d"}
    assert isinstance(b.pool.acquire(spec("e")).prefetch().exception(5), AdmissionRefused), "both were prefetched"
    b.clock.now += 30
    assert b.pool.acquire(spec("e")).prefetch().exception(5) is None
    assert b.loaded == {"d", "e"}


def test_a_call_takes_prefetched_models_only_if_others_do_not_suffice(bench):
    b = bench(budget_mb=250, eviction="lru")
    assert b.pool.acquire(spec("a")).prefetch(30).exception(5) is None
    b.use(spec("b"), spec("c"))
    assert b.loaded == {"a", "c"}
    b.use(spec("large", 200))
    assert b.loaded == {"large"}


def test_prefetched_models_are_safe_from_the_idle_timer(bench):
    b = bench()
    lease = b.pool.acquire(spec("a", ttl_s=10))
    assert lease.prefetch(30).exception(5) is None
    b.clock.now += 25
    b.pool.step()
    assert b.loaded == {"a"}
    assert lease.prefetch(30).exception(5) is None, "again: from now on"
    b.clock.now += 25
    b.pool.step()
    assert b.loaded == {"a"}
    b.clock.now += 5
    b.pool.step()
    assert b.loaded == set()


def test_a_model_that_gives_nothing_back_gets_a_worker_of_its_own(bench, caplog):
    b = bench()
    b.factory.inline = True
    lease = b.pool.acquire(spec("a", 50))
    lease.call("echo")
    b.pool.unload("a")
    assert "a leaks in this process: released 0.0 of 50.0 MB" in caplog.text
    assert b.pool.snapshot()[0].leaking
    lease.call("echo")
    b.pool.unload("a")
    assert b.pool.snapshot()[0].leaking, "once and for all"
    assert caplog.text.count("leaks") == 1


def test_a_model_that_leaks_leaves_the_place_that_it_shares(bench):
    b = bench()
    b.factory.inline = True
    one, two = (b.pool.acquire(spec(name, worker="torch")) for name in ("one", "two"))
    one.call("echo")
    two.call("echo")
    b.pool.unload("one")
    one.call("echo")
    pids = {info.name: info.pid for info in b.pool.snapshot()}
    assert pids["one"] != pids["two"]
    assert two.call("echo", 1) == 1


def test_a_call_that_comes_when_a_gentle_load_was_just_refused_is_not_refused_with_it(bench):
    b = bench(budget_mb=150)
    b.use(spec("a"))
    lease = b.pool.acquire(spec("b"))
    unreserve, answers = b.pool._registry.unreserve, []
    thread = threading.Thread(target=lambda: answers.append(lease.call("echo", 1)))

    def late(residents):
        if not thread.ident:
            thread.start()
            while not lease.calls:
                threading.Event().wait(0.001)
            threading.Event().wait(0.05)
        unreserve(residents)

    b.pool._registry.unreserve = late
    assert isinstance(lease.preload(evict=False).exception(5), AdmissionRefused)
    thread.join()
    assert answers == [1]
    assert b.loaded == {"b"}


def test_memory_on_the_gpu_is_asked_for_where_a_model_may_have_some(bench, monkeypatch):
    from bbia_ros.residency import accounting, pool, vram

    monkeypatch.setattr(vram, "vram_bytes", lambda pid: 7 * MB)
    monkeypatch.setattr(pool, "memory", lambda pid: accounting.Memory(3, 2, 1))
    b = bench()
    b.use(spec("a", device="cuda"), spec("b"))
    for _ in range(2000):
        infos = {info.name: info for info in b.pool.snapshot()}
        if all(info.pss_bytes for info in infos.values()):
            break
        threading.Event().wait(0.005)
    assert (infos["a"].vram_bytes, infos["b"].vram_bytes) == (7 * MB, 0)
    assert infos["a"].pss_bytes == 2
