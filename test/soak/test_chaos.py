"""The chaos strikes workers of the stack only, and undoes what it does."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from bbia_ros.soak.chaos import KILL, STARVE, STOP, STOP_S, Chaos, Strike
from bbia_ros.soak.processes import OTHER, PROCESS, WORKER, Member, entry


def member(pid: int, kind: str = WORKER, name: str = "brain") -> Member:
    return Member(pid, start=1, parent=1, kind=kind, name=name)


STACK = [member(1, PROCESS), member(2, PROCESS, "control"), member(3), member(4), member(5, OTHER), member(6)]


@pytest.fixture
def victim() -> Iterator[tuple[subprocess.Popen[bytes], Member]]:
    command = [sys.executable, "-c", "import time\nprint(1, flush=True)\nwhile True: time.sleep(0.01)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = entry(process.pid)
        assert found is not None
        yield process, Member(found.pid, found.start, found.parent, WORKER, "brain")
        process.kill()


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_only_workers_are_chosen_unless_processes_are_wanted_too() -> None:
    chaos = Chaos(Random(1), lambda: STACK, lambda strike: None)
    drawn = [chaos.choose(STACK) for _ in range(500)]
    assert {each[1].pid for each in drawn if each} == {3, 4, 6}
    assert {each[0] for each in drawn if each} == {KILL, STOP, STARVE}
    assert all(STOP_S[0] <= each[2] <= STOP_S[1] for each in drawn if each and each[0] == STOP)
    wild = Chaos(Random(1), lambda: STACK, lambda strike: None, processes=True)
    drawn = [wild.choose(STACK) for _ in range(500)]
    assert {(each[0], each[1].pid) for each in drawn if each and each[1].kind == PROCESS} == {(KILL, 1), (KILL, 2)}
    assert 5 not in {each[1].pid for each in drawn if each}


def test_the_choice_follows_the_seed_whatever_the_order_of_the_processes() -> None:
    first = Chaos(Random(9), lambda: STACK, lambda strike: None)
    second = Chaos(Random(9), lambda: STACK, lambda strike: None)
    assert [first.choose(STACK) for _ in range(50)] == [second.choose(STACK[::-1]) for _ in range(50)]


def test_without_workers_nobody_is_struck() -> None:
    assert Chaos(Random(1), list, lambda strike: None).choose(STACK[:2]) is None


def test_a_kill_is_told_before_it_is_done(victim: tuple[subprocess.Popen[bytes], Member]) -> None:
    process, meant = victim
    told: list[tuple[str, bool]] = []
    chaos = Chaos(Random(1), list, lambda strike: told.append((strike.kind, process.poll() is None)))
    chaos.strike(KILL, meant, 0.0)
    assert process.wait(10) == -9
    assert told == [(KILL, True)]
    chaos.strike(KILL, meant, 0.0)  # gone already
    assert len(told) == 1


def test_a_stop_lasts_until_it_is_held_and_the_victim_runs_again(
    victim: tuple[subprocess.Popen[bytes], Member],
) -> None:
    process, meant = victim
    struck = threading.Event()
    chaos = Chaos(Random(1), lambda: [meant], lambda strike: struck.set(), pause_s=(0.01, 0.01, 0.01))
    chaos.choose = lambda members: (STOP, meant, 60.0)  # type: ignore[method-assign]
    chaos.start()
    assert struck.wait(10)
    with chaos.held():
        assert state(process.pid) != "T"
        before = chaos.struck
        assert not threading.Event().wait(0.1)
        assert chaos.struck == before
    chaos.close()
    assert state(process.pid) != "T"
    assert process.poll() is None


def test_a_starved_worker_gets_its_cores_back(victim: tuple[subprocess.Popen[bytes], Member]) -> None:
    process, meant = victim
    seen: list[Strike] = []
    cores = os.sched_getaffinity(process.pid)
    Chaos(Random(1), list, seen.append).strike(STARVE, meant, 0.3)
    assert os.sched_getaffinity(process.pid) == cores
    assert state(process.pid) != "T"
    assert [strike.kind for strike in seen] == [STARVE]


def test_a_victim_that_dies_while_it_is_stopped_is_no_error(victim: tuple[subprocess.Popen[bytes], Member]) -> None:
    process, meant = victim

    def kill_soon(strike: Strike) -> None:
        threading.Timer(0.05, process.kill).start()

    chaos = Chaos(Random(1), list, kill_soon)
    chaos.strike(STOP, meant, 0.3)
    assert process.wait(10) == -9
    chaos.close()  # never started


def test_chaos_that_cannot_strike_says_why() -> None:
    tried = threading.Event()

    def fail() -> list[Member]:
        tried.set()
        raise PermissionError("not allowed")

    chaos = Chaos(Random(1), fail, lambda strike: None, pause_s=(0.0, 0.0, 0.01))
    chaos.start()
    assert tried.wait(10)
    chaos.close()
    assert isinstance(chaos.error, PermissionError)
