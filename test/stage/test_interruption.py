"""Ctrl-C ends the demonstration in order, whenever it comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bbia_ros.cli import INTERRUPTED
from bbia_ros.demo import run as demo
from bbia_ros.demo.play import Run
from bbia_ros.stage.interruption import Interruption


@pytest.fixture
def interruption() -> Iterator[Interruption]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    result = Interruption()
    result.install()
    yield result
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_once_and_a_second_one_only_hurries(interruption: Interruption, number: int) -> None:
    hurried: list[int] = []
    interruption.impatient = lambda: hurried.append(1)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    assert not hurried
    signal.raise_signal(number)
    assert hurried == [1]
    with interruption.held():
        pass  # what is over is not raised again


def test_a_signal_waits_for_the_end_of_the_outermost_held_stretch(interruption: Interruption) -> None:
    steps = []

    def nested() -> None:
        with interruption.held():
            with interruption.held():
                signal.raise_signal(signal.SIGINT)
                steps.append("inner")
            steps.append("outer")
        steps.append("beyond")

    with pytest.raises(KeyboardInterrupt):
        nested()
    assert steps == ["inner", "outer"]


def test_another_error_in_a_held_stretch_is_not_hidden(interruption: Interruption) -> None:
    def failing() -> None:
        with interruption.held():
            signal.raise_signal(signal.SIGINT)
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        failing()


def test_an_interrupted_film_does_not_cost_the_report(
    interruption: Interruption, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written: list[tuple[Path, str]] = []
    visit = demo.Visit(Run(), {}, [], {})
    monkeypatch.setattr(demo, "play_visit", lambda *_: visit)
    monkeypatch.setattr(demo, "_film", lambda *_: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(demo, "write_report", lambda path, *rest: written.append((path, rest[-1])))
    with pytest.raises(KeyboardInterrupt):
        demo.run_demo(demo.DemoOptions(tmp_path), interruption=interruption)
    (folder,) = tmp_path.iterdir()
    assert written == [(folder / "report.html", "")]
    assert f"interrupted; what was recorded until then is in {folder}" in capsys.readouterr().out


@pytest.mark.heavy
@pytest.mark.parametrize("moment", ["preparing the visitor's lines", "bringing the stack up", "every node is in"])
def test_ctrl_c_leaves_no_traceback_and_no_process(moment: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bbia_ros.cli", "demo", "--no-film", "--out", str(tmp_path / "out")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path), "PYTHONFAULTHANDLER": "1"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        heard = ""
        for line in process.stdout:
            heard += line
            if moment in line:
                break
        os.killpg(process.pid, signal.SIGINT)
        heard += process.stdout.read()
    assert process.returncode == INTERRUPTED, heard
    assert "interrupted; what was recorded until then is in" in heard
    assert not any(word in heard for word in ("Traceback", "Fatal", "terminate called", "Exception ignored"))
    assert _whose_environment_names(str(tmp_path)) == []


def _whose_environment_names(text: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if text.encode() in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue  # gone meanwhile
    return found
