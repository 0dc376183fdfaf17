import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bbia_ros.manager import children as module
from bbia_ros.manager.children import Children, Program, RotatingLog
from bbia_ros.manager.watch import process_exists

POLITE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("bye", flush=True)))
print("hello", flush=True)
while True: time.sleep(0.05)
"""
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("worker", worker.pid, flush=True)
time.sleep(60)
"""


class Stage:
    """Children whose lines and events a test can wait for."""

    def __init__(self, folder: Path, **sources: tuple[str, int]):
        self.lines: list[tuple[str, str]] = []
        self.changed = threading.Condition()
        self.events: list[tuple[str, str]] = []
        programs = [Program(name, [sys.executable, "-c", code], stage=stage) for name, (code, stage) in sources.items()]
        self.children = Children(programs, folder, self.on_line, self.on_event)
        self.children.start()

    def on_line(self, name, line):
        with self.changed:
            self.lines.append((name, line))
            self.changed.notify_all()

    def on_event(self, name, event):
        with self.changed:
            self.events.append((name, event))
            self.changed.notify_all()

    def wait(self, condition):
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self), timeout=30)


@pytest.fixture
def stage(tmp_path):
    made = []

    def make(**sources):
        made.append(Stage(tmp_path, **sources))
        return made[-1]

    yield make
    for each in made:
        each.children.stop(timeout_s=0.5)


def test_children_end_in_order_of_their_stages(stage, tmp_path):
    show = stage(manager=(POLITE, 2), brain=(POLITE, 0), control=(POLITE, 1))
    show.wait(lambda s: len(s.lines) == 3)
    pids = show.children.pids
    show.children.stop()
    assert [name for name, line in show.lines if line == "bye"] == ["brain", "control", "manager"]
    assert not any(process_exists(pid) for pid in pids.values())
    assert (tmp_path / "brain.log").read_text() == "hello\nbye\n"
    assert show.events == []
    show.children.stop()


def test_a_stubborn_child_is_killed_with_its_workers(stage):
    show = stage(brain=(STUBBORN, 0), control=(POLITE, 1))
    show.wait(lambda s: len(s.lines) == 2)
    worker = next(int(line.split()[1]) for _, line in show.lines if line.startswith("worker"))
    show.children.stop(timeout_s=1.0)
    assert not process_exists(worker)
    assert ("control", "bye") in show.lines


def test_a_child_that_dies_takes_its_workers_along_and_is_started_again(stage):
    show = stage(brain=(STUBBORN, 0))
    show.wait(lambda s: s.lines)
    worker, pid = int(show.lines[0][1].split()[1]), show.children.pids["brain"]
    os.kill(pid, signal.SIGKILL)
    show.wait(lambda s: len(s.lines) == 2)
    assert not process_exists(worker)
    assert show.children.pids["brain"] != pid
    texts = [event for _, event in show.events]
    assert texts[0] == f"process brain (pid {pid}) was ended by signal 9; starting it again in 0.5 s"
    assert "started again" in texts[1]


def test_restarts_wait_longer_each_time_and_the_last_words_are_kept(stage, monkeypatch):
    monkeypatch.setattr(module, "BACKOFF_S", (0.01, 0.02, 0.03))
    show = stage(brain=("print('no such file'); raise SystemExit(3)", 0))
    show.wait(lambda s: sum("exit code 3" in event for _, event in s.events) >= 3)
    waits = [event.rsplit(" in ", 1)[1] for _, event in show.events if "exit code 3" in event]
    assert waits[:3] == ["0.01 s", "0.02 s", "0.03 s"]
    assert show.children.failures()["brain"] >= 3
    assert show.children.tail("brain")[0] == "no such file"


def test_stop_before_anything_has_started_leaves_nothing(tmp_path):
    children = Children([Program("a", [sys.executable, "-c", POLITE])], tmp_path)
    children.stop()
    assert children.pids == {}
    started = Children([Program("a", [sys.executable, "-c", POLITE])], tmp_path)
    started.start()
    started.stop()
    assert started.pids == {}


def test_a_program_that_cannot_be_started_is_reported(stage, tmp_path):
    events = []
    children = Children(
        [Program("a", ["/nowhere/python"])], tmp_path, on_event=lambda name, event: events.append(event)
    )
    children.start()
    deadline = time.monotonic() + 10
    while not events and time.monotonic() < deadline:
        time.sleep(0.01)
    children.stop()
    assert "cannot be started" in events[0]


def test_a_child_ends_itself_when_its_parent_is_killed(tmp_path):
    """The guard of `process`: standard input closes when the parent is gone, however it went."""
    guarded = (
        "import time\nfrom bbia_ros import bringup\nbringup._end_with_stdin()\n"
        "print('ready', flush=True)\nwhile True: time.sleep(0.1)"
    )
    parent = (
        "import os, sys, time\nfrom pathlib import Path\nfrom bbia_ros.manager.children import Children, Program\n"
        f"c = Children([Program('a', [sys.executable, '-c', {guarded!r}])], Path({str(tmp_path)!r}),\n"
        "             on_line=lambda *_: print(c.pids['a'], flush=True))\nc.start()\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        pid = int(process.stdout.readline())
        assert process_exists(pid)
        process.kill()
    deadline = time.monotonic() + 10
    while process_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not process_exists(pid)


def test_logs_rotate_at_their_limit(tmp_path):
    log = RotatingLog(tmp_path / "a.log", limit=100)
    for index in range(30):
        log.write(f"{index:09d}\n".encode())
    log.close()
    assert (tmp_path / "a.log").stat().st_size <= 100
    assert (tmp_path / "a.log.1").stat().st_size == 100
    assert (tmp_path / "a.log").read_text().endswith("000000029\n")
    again = RotatingLog(tmp_path / "a.log", limit=100)
    again.write(b"x" * 60)
    again.close()
    assert (tmp_path / "a.log").read_bytes().endswith(b"x" * 60)
