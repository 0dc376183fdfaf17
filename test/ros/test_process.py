"""A process with nodes ends in order, whenever it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.heavy

SCRIPT = """
    import sys
    from dataclasses import dataclass

    from bbia_ros.residency import ModelSpec
    from bbia_ros.ros.lifecycle import BbiaNode
    from bbia_ros.ros.process import run_process

    class Toy:
        def answer(self):
            return 42

    @dataclass(frozen=True)
    class Nothing:
        pass

    class ToyNode(BbiaNode[Nothing]):
        parameters_type = Nothing

        def __init__(self, context):
            super().__init__("toy", context)

        def activate(self):
            lease = self.lease(ModelSpec("toy", "toy", "process_under_test:Toy", declared_mb=20.0))
            self.lane("toy", lambda _: print("answer", lease.call("answer"), flush=True)).offer(None)

    def broken(context):
        raise RuntimeError("no such robot")

    if __name__ == "__main__":
        sys.exit(run_process("toy", [broken, ToyNode], args=["x"], activate=True))
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    (tmp_path / "process_under_test.py").write_text(textwrap.dedent(SCRIPT))
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}", "PYTHONUNBUFFERED": "1"}
    child = subprocess.Popen(
        [sys.executable, str(tmp_path / "process_under_test.py")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    yield child
    if child.poll() is None:
        child.kill()
        child.wait()


def family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def test_ctrl_c_ends_nodes_and_workers_and_a_broken_node_does_not_stop_the_others(
    process: subprocess.Popen[str],
) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "answer 42\n"
    members = family(process.pid)
    assert len(members) == 2  # the process and its worker
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert errors.count("Traceback") == 1  # of the broken node, and nothing else
    assert "no such robot" in errors
    assert not any(member.is_running() for member in members[1:])


@pytest.mark.parametrize("after_s", [0.0, 0.3, 0.6, 0.9, 1.2])
def test_a_signal_during_start_up_leaves_nothing_behind(process: subprocess.Popen[str], after_s: float) -> None:
    time.sleep(after_s)  # the moment is the point of this test
    members = family(process.pid)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode in (0, -signal.SIGTERM)  # before Python is up the signal's default holds
    assert not any(member.is_running() for member in members)
