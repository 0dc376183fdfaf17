"""The budget across processes."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
import textwrap
import threading

import pytest
from fake_worker import FakeClock, FakeFactory
from hypothesis import given, settings
from hypothesis import strategies as st

from bbia_ros.residency import AdmissionRefused, Ledger, LedgerError, Measurements, ModelSpec, Pool
from bbia_ros.residency.accounting import start_time
from bbia_ros.residency.ledger import runtime_directory

MB = 1_000_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.json"


def foreign(path, pid, start, name="chat", size=100 * MB):
    """Enter a model as another process would."""
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        data = {"entries": {}}
    data["entries"][f"{pid}:{start}:{name}"] = {
        "pid": pid,
        "start": start,
        "process": "brain",
        "name": name,
        "bytes": size,
        "state": "loaded",
    }
    path.write_text(json.dumps(data))


@pytest.fixture
def neighbour():
    """A process that lives, and is not ours."""
    process = subprocess.Popen(["sleep", "60"])
    yield process.pid, start_time(process.pid)
    process.kill()
    process.wait()


def test_a_reservation_holds_until_it_is_released(path):
    ledger = Ledger(path)
    assert ledger.reserve("a", 60 * MB, 100 * MB)
    assert not ledger.reserve("b", 60 * MB, 100 * MB)
    ledger.settle("a", 40 * MB)
    assert ledger.reserve("b", 60 * MB, 100 * MB)
    ledger.release(["a", "unknown"])
    assert ledger.reserve("c", 40 * MB, 100 * MB)
    ledger.clear()
    assert json.loads(path.read_text())["entries"] == {}


def test_others_count_and_are_named(path, neighbour):
    foreign(path, *neighbour)
    ledger = Ledger(path, process="control")
    assert not ledger.reserve("a", 1 * MB, 100 * MB)
    assert ledger.reserve("a", 1 * MB, 101 * MB)
    assert ledger.reserve("b", 500 * MB, None), "no limit"
    (other,) = ledger.others()
    assert (other.name, other.size, other.state, other.evictable) == ("chat", 100 * MB, "loaded in brain", False)


def test_a_group_is_limited_over_all_processes(path, neighbour):
    theirs = Ledger(path)
    theirs.pid, theirs._start = neighbour
    assert theirs.reserve("x", 1, None, group="stt", group_limit=2)
    ledger = Ledger(path)
    assert ledger.reserve("a", 1, 100, group="stt", group_limit=2)
    assert not ledger.reserve("b", 1, 100, group="stt", group_limit=2)
    assert ledger.reserve("b", 1, 100, group="tts", group_limit=1)
    assert ledger.reserve("a", 1, 100, group="stt", group_limit=2), "itself is not in the way"
    theirs.release(["x"])
    assert ledger.reserve("c", 1, 100, group="stt", group_limit=2)


def test_entries_of_the_dead_are_reclaimed(path, neighbour):
    pid, start = neighbour
    foreign(path, 2**22 + 1, 5, "never lived")
    foreign(path, pid, start + 1, "same pid, other process")
    ledger = Ledger(path)
    assert ledger.others() == []
    assert ledger.reserve("a", 100 * MB, 100 * MB)
    assert len(json.loads(path.read_text())["entries"]) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'"x"', b"\xff\xfe", b'{"entries": 3}', b"[" * 100_000])
def test_a_damaged_file_starts_anew_and_keeps_what_is_ours(path, content, caplog):
    ledger = Ledger(path)
    ledger.reserve("a", 60 * MB, 100 * MB)
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert not ledger.reserve("b", 60 * MB, 100 * MB), "a is still in memory"
    assert ledger.reserve("c", 40 * MB, 100 * MB)
    if content != b'{"entries": 3}':
        assert "damaged" in caplog.text


@pytest.mark.parametrize(
    "entry", [None, [], {}, {"pid": "1"}, {"pid": 1, "start": 1, "process": "", "name": "", "state": "", "bytes": -5}]
)
def test_entries_that_make_no_sense_are_dropped(path, entry, caplog):
    path.write_text(json.dumps({"entries": {"k": entry}}))
    ledger = Ledger(path)
    with caplog.at_level(logging.WARNING):
        assert ledger.reserve("a", MB, MB)
    assert "cannot be read" in caplog.text


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["reserve", "settle", "release", "clear", "others dies", "others comes", "garbage"]),
            st.sampled_from("abc"),
            st.integers(1, 60),
        ),
        max_size=20,
    )
)
def test_never_more_than_the_budget(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("ledger") / "ledger.json"
    ledger = Ledger(path)
    mine: dict[str, int] = {}
    theirs = 0
    parent = (os.getppid(), start_time(os.getppid()))
    for action, name, size in steps:
        if action == "reserve":
            others = sum(value for key, value in mine.items() if key != name)
            fits = others + theirs + size <= 100
            assert ledger.reserve(name, size, 100) == fits
            if fits:
                mine[name] = size
            else:
                # A refused reservation of a model leaves its earlier entry as it was.
                assert ledger.reserve("probe", max(0, 100 - theirs - sum(mine.values())), 100) == (
                    theirs + sum(mine.values()) <= 100
                )
                ledger.release(["probe"])
        elif action == "settle" and name in mine:
            mine[name] = min(size, mine[name])
            ledger.settle(name, mine[name])
        elif action == "release":
            ledger.release([name])
            mine.pop(name, None)
        elif action == "clear":
            ledger.clear()
            mine = {}
        elif action == "others comes" and path.exists():
            if theirs + sum(mine.values()) + size <= 100:
                ledger.settle("tick", 0)  # rewrites a damaged file
                ledger.release(["tick"])
                foreign(path, *parent, "theirs", size)
                theirs = size
        elif action == "others dies" and path.exists():
            ledger.release(["nobody"])
            data = json.loads(path.read_text())
            data["entries"].pop(f"{parent[0]}:{parent[1]}:theirs", None)
            path.write_text(json.dumps(data))
            theirs = 0
        elif action == "garbage" and path.exists():
            path.write_text("{")
            theirs = 0
        assert sum(one.size for one in ledger.others()) == theirs


def test_two_processes_never_overbook(path):
    """Eight processes reserve, hold and release 40 MB of 100 MB as fast as they can; each sees the sum."""
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from bbia_ros.residency.ledger import Ledger
        ledger = Ledger(Path(sys.argv[1]))
        worst = 0
        for round in range(30):
            if ledger.reserve("a", 40, 100):
                worst = max(worst, 40 + sum(one.size for one in ledger.others()))
                ledger.release(["a"])
        print(worst)
        """
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    worst = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert 40 <= max(worst) <= 80


def test_a_lock_that_is_never_given_back_is_told(path, monkeypatch):
    from bbia_ros.residency import jsonfile

    monkeypatch.setattr(jsonfile, "_LOCK_TIMEOUT_S", 0.05)
    ledger = Ledger(path)
    ledger.reserve("a", 1, 10)
    with ledger._file.change(), pytest.raises(LedgerError, match=r"locked by another process"):
        ledger.reserve("b", 1, 10)
    assert ledger.reserve("b", 1, 10)


def test_threads_of_one_process(path):
    ledger = Ledger(path)
    results = []
    threads = [threading.Thread(target=lambda n=n: results.append(ledger.reserve(f"m{n}", 30, 100))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 5 + [True] * 3


def test_where_the_file_lies(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert Ledger(stack="robot/1").path == tmp_path / "bbia_ros" / "ledger-robot_1.json"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    directory = runtime_directory()
    assert directory.parent == tmp_path
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    directory.rmdir()
    directory.symlink_to("/tmp")
    with pytest.raises(LedgerError, match="somebody else"):
        runtime_directory()


def test_a_directory_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot be used"):
        Ledger(tmp_path / "file" / "ledger.json").reserve("a", 1, 1)


def test_two_pools_share_a_budget_and_ask_each_other(path, neighbour):
    """The other pool is in this process, so its entries are signed as another process's."""
    factory, clock = FakeFactory(), FakeClock()

    def make(identity=None, **arguments):
        ledger = Ledger(path, process="brain")
        if identity is not None:
            ledger.pid, ledger._start = identity
        return Pool(
            budget_mb=150,
            ledger=ledger,
            measurements=Measurements(""),
            worker_factory=factory,
            clock=clock,
            supervise=False,
            **arguments,
        )

    other = make(neighbour)
    mine = make()
    spec = ModelSpec("a", "t", "f:F", {"mb": 100}, declared_mb=100)
    theirs = other.acquire(ModelSpec("b", "t", "f:F", {"mb": 100}, declared_mb=100))
    theirs.call("echo")
    lease = mine.acquire(spec)
    with pytest.raises(AdmissionRefused, match=r"held by b 100 MB \(loaded in brain\)"):
        lease.call("echo")
    mine.ask = other.free
    assert lease.call("echo", 1) == 1
    assert set(factory.loaded) == {"a"}
    with pytest.raises(AdmissionRefused, match=r"held by a 100 MB"):
        theirs.call("echo")
    mine.close()
    assert theirs.call("echo", 2) == 2
    other.close()
