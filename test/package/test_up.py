"""`bbia up` with real processes: ready, killed parts coming back, and Ctrl-C at any moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bbia_ros.bringup import Options, Stack
from bbia_ros.domain import free_domain
from bbia_ros.manager.parameter_files import BringupError
from bbia_ros.manager.watch import process_exists

pytestmark = pytest.mark.heavy

BODY = ("driver", "motion")
UP = [sys.executable, "-m", "bbia_ros.cli", "up", "--driver", "mock", "--mode", "sleep"]
TELLING = """
import runpy, signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
print("begun", flush=True)
runpy.run_module("bbia_ros.cli", run_name="__main__", alter_sys=True)
"""  # `python -m bbia_ros.cli` that says when the interpreter is up: a signal during Python's own start is Python's


@pytest.fixture(autouse=True)
def own_domain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(free_domain()))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@pytest.fixture
def body() -> Iterator[Stack]:
    with Stack(Options(mode="sleep", driver="mock", nodes=BODY)) as stack:
        stack.wait_ready(60.0)
        yield stack


def state_of(stack: Stack, name: str) -> str:
    status = stack.client.status
    return "" if status is None else next(node.state for node in status.nodes if node.name == name)


def test_a_killed_process_comes_back_to_its_state_and_nothing_else_changes(body: Stack) -> None:
    manager, control = body.processes["manager"], body.processes["control"]
    os.kill(control, signal.SIGKILL)
    status = body.client.wait_for_status(lambda s: any(n.name == "motion" and n.state == "unknown" for n in s.nodes))
    detail = next(node.detail for node in status.nodes if node.name == "motion")
    assert detail == f"its process control (pid {control}) has ended"
    back = body.client.wait_for_status(lambda s: all(n.state == "active" for n in s.nodes), timeout_s=30.0)
    assert back.mode == "sleep"
    assert body.processes["manager"] == manager
    assert body.processes["control"] != control
    assert any("was ended by signal 9; starting it again" in event for event in body.events)
    assert body.client.set_mode("idle")[0]


def test_a_killed_manager_comes_back_and_takes_up_the_mode(body: Stack) -> None:
    assert body.client.set_mode("idle")[0]
    manager, control = body.processes["manager"], body.processes["control"]
    os.kill(manager, signal.SIGKILL)
    body.client.wait_for_status(lambda s: all(process.pid != manager for process in s.processes), timeout_s=30.0)
    status = body.client.wait_for_mode("idle", timeout_s=30.0)
    assert all(node.state == "active" for node in status.nodes)
    assert body.processes["control"] == control


def test_a_hung_process_is_reported_and_taken_back_when_it_goes_on(body: Stack) -> None:
    control = body.processes["control"]
    os.kill(control, signal.SIGSTOP)
    try:
        status = body.client.wait_for_status(lambda s: any(n.state == "unknown" for n in s.nodes), timeout_s=20.0)
        assert any("so it hangs" in node.detail for node in status.nodes)
    finally:
        os.kill(control, signal.SIGCONT)
    body.client.wait_for_status(lambda s: all(n.state == "active" for n in s.nodes), timeout_s=20.0)
    assert body.processes["control"] == control


def test_stop_leaves_nothing_and_the_logs_tell_the_story(tmp_path: Path) -> None:
    with Stack(Options(mode="sleep", driver="mock", nodes=BODY), log_folder=tmp_path / "log") as stack:
        stack.wait_ready(60.0)
        pids = stack.pids()
    assert not any(process_exists(pid) for pid in pids)
    assert "mode 'sleep': reached" in (tmp_path / "log" / "manager.log").read_text()
    for name in ("manager", "control"):
        assert "Traceback" not in (tmp_path / "log" / f"{name}.log").read_text()


def test_an_unknown_parameter_is_named_when_the_mode_cannot_be_reached() -> None:
    options = Options(mode="sleep", driver="mock", nodes=BODY, parameters={"motion": {"speeed": 1.0}})
    with Stack(options) as stack:
        with pytest.raises(BringupError) as refusal:
            stack.wait_ready(30.0)
        assert "motion is unconfigured" in str(refusal.value)
        assert "unknown parameter 'speeed'" in str(refusal.value)


def test_an_unknown_parameter_of_the_manager_is_named_at_once() -> None:
    options = Options(mode="sleep", driver="mock", nodes=BODY, parameters={"manager": {"patience": 1.0}})
    with Stack(options) as stack, pytest.raises(BringupError, match="unknown parameter 'patience'"):
        stack.wait_ready(30.0)


@pytest.mark.parametrize("moment", [0.05, 0.4, 1.2, 2.5, 5.0])
def test_ctrl_c_at_any_moment_ends_everything_in_time(moment: float, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with subprocess.Popen(
        [UP[0], "-c", TELLING, *UP[3:], "--log-folder", str(log)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as up:  # fmt: skip
        assert up.stdout is not None
        assert up.stdout.readline() == "begun\n"
        time.sleep(moment * random.uniform(0.8, 1.2))  # any moment is the point
        family = descendants(up.pid)
        up.send_signal(signal.SIGINT)
        began = time.monotonic()
        out, error = up.communicate(timeout=30)
        seconds = time.monotonic() - began
    assert up.returncode in (0, 130, -signal.SIGINT), error
    assert "Traceback" not in out + error
    assert not [pid for pid in family | descendants(up.pid) if process_exists(pid)]
    assert seconds < 10.0  # 4.5 s on a machine that is not busy


def test_a_killed_launcher_takes_the_stack_along(tmp_path: Path) -> None:
    with subprocess.Popen([*UP, "--log-folder", str(tmp_path / "log")], stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        assert "mode sleep after" in up.stdout.readline()
        family = descendants(up.pid)
        assert len(family) >= 3
        up.kill()
    deadline = time.monotonic() + 15
    while any(process_exists(pid) for pid in family) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in family if process_exists(pid)]


def descendants(pid: int) -> set[int]:
    import psutil

    try:
        return {child.pid for child in psutil.Process(pid).children(recursive=True)}
    except psutil.NoSuchProcess:
        return set()
