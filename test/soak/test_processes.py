"""Only processes of the stack are found and signalled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bbia_ros.soak.processes import OTHER, PROCESS, WORKER, Member, NotOurs, alive, entry, family, send, workers


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def member_of(process: subprocess.Popen[bytes]) -> Member:
    found = entry(process.pid)
    assert found is not None
    return Member(found.pid, found.start, found.parent, WORKER, "brain", found.threads)


def fake_proc(folder: Path, rows: dict[int, tuple[int, int, list[str]]]) -> Path:
    """A /proc with pid -> (parent, start, command line)."""
    for pid, (parent, start, command) in rows.items():
        (folder / str(pid)).mkdir()
        fields = ["S", str(parent), *["0"] * 15, "3", "0", str(start), "0"]
        (folder / str(pid) / "stat").write_text(f"{pid} (odd) name)) {' '.join(fields)}\n")
        (folder / str(pid) / "cmdline").write_bytes(b"\0".join(word.encode() for word in command) + b"\0")
    (folder / "self").mkdir()
    return folder


NODES = ["python", "-m", "bbia_ros.bringup"]
ENGINE = ["python", "-m", "bbia_ros.residency.worker", "3", "4", "100", "19"]


def test_a_family_is_the_processes_their_workers_and_nobody_else(tmp_path: Path) -> None:
    proc = fake_proc(
        tmp_path,
        {
            10: (1, 5, ["bbia", "soak"]),
            100: (10, 50, NODES),
            101: (100, 60, ENGINE),
            102: (100, 61, NODES),  # between fork and exec
            103: (101, 70, ["sh"]),
            200: (10, 51, NODES),
            300: (1, 52, NODES),  # somebody else's stack
            301: (300, 80, ENGINE),
        },
    )
    found = family({"brain": 100, "control": 200}, parent=10, proc=proc)
    assert [(m.pid, m.kind, m.name) for m in found] == [
        (100, PROCESS, "brain"), (101, WORKER, "brain"), (102, OTHER, "brain"), (103, OTHER, "brain"),
        (200, PROCESS, "control"),
    ]  # fmt: skip
    assert [m.pid for m in workers(found)] == [101]
    assert found[0].threads == 3


def test_a_pid_that_is_not_our_child_is_no_process_of_the_stack(tmp_path: Path) -> None:
    proc = fake_proc(tmp_path, {100: (1, 50, NODES), 101: (100, 60, ENGINE)})
    assert family({"brain": 100, "control": 999}, parent=10, proc=proc) == []


def test_a_worker_of_a_worker_s_child_is_not_taken_for_ours(tmp_path: Path) -> None:
    proc = fake_proc(tmp_path, {100: (10, 50, NODES), 101: (100, 60, ENGINE), 102: (101, 61, ENGINE)})
    assert [m.pid for m in workers(family({"brain": 100}, parent=10, proc=proc))] == [101]


def test_a_zombie_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert entry(process.pid) is None
    process.wait()


def test_a_signal_reaches_the_process_that_was_meant(child: subprocess.Popen[bytes]) -> None:
    send(member_of(child), signal.SIGTERM)
    assert child.wait(10) == -signal.SIGTERM


@pytest.mark.parametrize("change", [{"start": 1}, {"parent": 1}])
def test_a_pid_given_to_another_process_gets_no_signal(child: subprocess.Popen[bytes], change: dict[str, int]) -> None:
    meant = replace(member_of(child), **change)
    with pytest.raises(NotOurs, match="not the one that it was"):
        send(meant, signal.SIGKILL)
    assert child.poll() is None
    assert alive(meant) == ("parent" in change)


def test_a_process_that_has_ended_gets_no_signal(child: subprocess.Popen[bytes]) -> None:
    meant = member_of(child)
    child.kill()
    child.wait()
    with pytest.raises(NotOurs):
        send(meant, signal.SIGKILL)
    assert not alive(meant)
