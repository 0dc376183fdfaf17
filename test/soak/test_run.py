"""The run from start to summary, on a stack that only pretends."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from bbia_ros import cli
from bbia_ros.soak import run as soak
from bbia_ros.soak import scenario
from bbia_ros.soak.record import Record, RecordFailed, read
from bbia_ros.soak.run import SoakOptions, run_soak


class FakeStack:
    """No process at all."""

    made: list[FakeStack] = []

    def __init__(self, options: Any, *, log_folder: Path, on_line: Callable[..., None], on_event: Callable[..., None]):
        self.options, self.on_line, self.on_event = options, on_line, on_event
        self.processes: dict[str, int] = {}
        self.client = SimpleNamespace(wait_a_moment=lambda seconds: None)
        self.stopped = False
        self.made.append(self)

    def start(self) -> None: ...

    def kill(self) -> None: ...

    def wait_ready(self, timeout_s: float) -> None: ...

    def stop(self) -> None:
        self.stopped = True


class FakeStage:
    """Everything succeeds at once, except what a test has put into `refusals`."""

    refusals: dict[str, int] = {}
    calls: list[str] = []
    source = "chat"
    on_call: Callable[[str], None] = staticmethod(lambda name: None)  # type: ignore[assignment]

    def __init__(self, namespace: str, topics: Any, **options: Any) -> None:
        self.closed = False

    def call(self, kind: Any, name: str, request: Any, timeout_s: float = 10.0) -> Any:
        what = f"{name} {getattr(request, 'mode', '')}".strip()
        self.calls.append(what)
        FakeStage.on_call(what)
        refused = self.refusals.get(what, 0)
        self.refusals[what] = refused - 1
        return SimpleNamespace(ok=refused <= 0, message="not now", duration_s=0.0)

    def wait(self, topic: str, condition: Any, timeout_s: float, since: int = 0) -> Any:
        return SimpleNamespace(source=FakeStage.source)

    def act(self, kind: Any, name: str, goal: Any, timeout_s: float = 60.0) -> Any:
        self.calls.append(f"{name} {goal.text}")
        return SimpleNamespace(ok=True, text="the moon is far")

    def now_ns(self) -> int:
        return time.time_ns()

    def last(self, topic: str) -> Any:
        return None

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def _pretend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    FakeStack.made.clear()
    FakeStage.calls.clear()
    FakeStage.refusals.clear()
    FakeStage.source = "chat"
    FakeStage.on_call = staticmethod(lambda name: None)  # type: ignore[assignment]
    monkeypatch.setattr(soak, "Stack", FakeStack)
    monkeypatch.setattr(soak, "Stage", FakeStage)
    monkeypatch.setattr(soak, "synthesize_lines", lambda lines: [tmp_path / f"{n}.wav" for n in range(len(lines))])
    monkeypatch.setattr(scenario, "TRIMMED_S", 0.0)
    monkeypatch.setattr(scenario, "SETTLE_S", 0.0)
    monkeypatch.setattr(scenario, "SETTLE_STEP_S", 0.0)
    monkeypatch.setattr(scenario, "RETRY_S", 0.0)
    monkeypatch.setattr(scenario, "SPEECH_S", 0.0)
    monkeypatch.setenv("ROS_DOMAIN_ID", "1")


def quiet() -> Console:
    return Console(quiet=True)


def test_cycles_then_random_use_leave_record_summary_and_plot(tmp_path: Path) -> None:
    options = SoakOptions(tmp_path, minutes=0.005, cycles=3, chaos=True)
    _, folder = run_soak(options, quiet())
    lines = list(read(folder / "soak.jsonl"))
    rests = [line for line in lines if line["kind"] == "rest"]
    assert [rest["number"] for rest in rests if rest["part"] == "cycles"] == [1, 2, 3]
    assert [rest["number"] for rest in rests if rest["part"] == "household"][:1] == [1]
    summary = json.loads((folder / "summary.json").read_text())
    judged = {verdict["key"]: verdict["passed"] for verdict in summary["verdicts"]}
    assert judged["health.troubles"] is True
    assert judged["cycles.used"] is False  # nothing was ever loaded here
    assert summary["options"]["cycles"] == 3
    assert (folder / "soak.png").read_bytes()[:4] == b"\x89PNG"
    assert FakeStack.made[0].stopped


def test_a_mode_refused_once_is_a_retry_and_refused_twice_trouble(tmp_path: Path) -> None:
    FakeStage.refusals["manager/set_mode sleep"] = 1
    verdicts, _ = run_soak(SoakOptions(tmp_path / "a", cycles=2), quiet())
    by_key = {verdict.key: verdict for verdict in verdicts}
    assert by_key["health.retried"].measured == "1"
    assert by_key["health.troubles"].passed
    FakeStage.refusals["manager/set_mode sleep"] = 2
    verdicts, _ = run_soak(SoakOptions(tmp_path / "b", cycles=2), quiet())
    by_key = {verdict.key: verdict for verdict in verdicts}
    assert by_key["health.troubles"].measured == "1: mode sleep is not entered: not now"
    assert by_key["health.troubles"].passed is False


def test_a_misheard_question_is_asked_again_in_writing(tmp_path: Path) -> None:
    run_soak(SoakOptions(tmp_path / "a", cycles=2), quiet())
    assert not [call for call in FakeStage.calls if call.startswith("dialogue/chat")]
    FakeStage.source = "rule"
    run_soak(SoakOptions(tmp_path / "b", cycles=2), quiet())
    assert FakeStage.calls.count(f"dialogue/chat {scenario.QUESTION}") == 2


def test_a_process_that_ends_by_itself_and_a_traceback_are_trouble(tmp_path: Path) -> None:
    def happen(name: str) -> None:
        if name == "manager/set_mode converse" and len(FakeStage.calls) < 5:
            FakeStack.made[0].on_event("brain", "process brain (pid 7) was ended by signal 11")
            FakeStack.made[0].on_event("brain", "started again (pid 8)")
            FakeStack.made[0].on_line("brain", "Traceback (most recent call last):")

    FakeStage.on_call = staticmethod(happen)  # type: ignore[assignment]
    verdicts, folder = run_soak(SoakOptions(tmp_path, cycles=2), quiet())
    by_key = {verdict.key: verdict for verdict in verdicts}
    assert by_key["health.troubles"].measured == "1: process brain (pid 7) was ended by signal 11"
    assert by_key["health.tracebacks"].passed is False
    assert [line["line"] for line in read(folder / "soak.jsonl") if line["kind"] == "log"] == [
        "Traceback (most recent call last):"
    ]


class FullDisk(Record):
    """Has room for a few lines."""

    def write(self, kind: str, **fields: Any) -> float:
        if self.now() > 0.3 and self.failed is None:
            self._file.flush = self._full  # type: ignore[method-assign]
        return super().write(kind, **fields)

    @staticmethod
    def _full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_ends_the_soak_with_one_clear_error_and_the_stack_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "Record", FullDisk)
    with pytest.raises(RecordFailed, match=r"soak.jsonl cannot be written: No space left on device; free some space"):
        run_soak(SoakOptions(tmp_path, minutes=5.0), quiet())
    assert FakeStack.made[0].stopped


def test_an_observer_that_fails_ends_the_soak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak.Observer, "_observe", lambda self: (_ for _ in ()).throw(ValueError("odd figures")))
    with pytest.raises(ValueError, match="odd figures"):
        run_soak(SoakOptions(tmp_path, minutes=5.0), quiet())
    assert FakeStack.made[0].stopped


def test_an_interrupted_soak_tells_what_it_found_until_then(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(name: str) -> None:
        if FakeStage.calls.count("manager/set_mode converse") == 3:
            raise KeyboardInterrupt

    FakeStage.on_call = staticmethod(interrupt)  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        run_soak(SoakOptions(tmp_path, cycles=50), Console(width=200))
    (folder,) = tmp_path.iterdir()
    keys = {verdict["key"] for verdict in json.loads((folder / "summary.json").read_text())["verdicts"]}
    assert "cycles.pss_slope" in keys
    heard = capsys.readouterr().out
    assert "cycles: slope of PSS" in heard
    assert f"interrupted; what was found until then is in {folder}" in heard
    assert FakeStack.made[0].stopped


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "nothing to do"),
        (["--minutes", "-1"], "must not be negative"),
        (["--minutes", "nan"], "must not be negative"),
        (["--cycles", "2", "--chaos"], "give --minutes too"),
        (["--minutes", "1", "--chaos-processes"], "needs --chaos"),
        (["--minutes", "1", "--domain", "300"], "does not exist"),
    ],
)
def test_wrong_input_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["soak", *words]) == cli.WRONG_INPUT
    assert sentence in capsys.readouterr().err


def test_the_exit_code_tells_of_a_failed_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["soak", "--cycles", "2", "--out", str(tmp_path)]) == cli.FAILED
    assert "failed: cycles: models that were not used" in capsys.readouterr().out
