"""A short soak on the real stack."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bbia_ros.cli import INTERRUPTED
from bbia_ros.soak.record import read


def whose_environment_names(text: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if text.encode() in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue  # gone meanwhile
    return found


def command(out: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "bbia_ros.cli", "soak", "--out", str(out), *words]


@pytest.mark.timeout(300)  # a minute on two idle cores
@pytest.mark.heavy
def test_a_quarter_of_a_minute_of_chaos_needs_nobody(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    words = ("--minutes", "0.25", "--chaos", "--seed", "4")
    done = subprocess.run(command(tmp_path / "out", *words), env=environment, capture_output=True, text=True)
    (folder,) = (tmp_path / "out").iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    judged = {verdict["key"]: verdict for verdict in summary["verdicts"]}
    # Slopes and counts of so short a time say nothing.
    for key in ("health.tracebacks", "chaos.lost", "household.unsettled", "end.shm"):
        assert judged[key]["passed"], done.stdout
    # On a machine that is busy with other programs the first conversation may take too long.
    assert not [trouble for trouble in summary["troubles"] if not trouble["what"].startswith("warm-up")], done.stdout
    assert int(judged["chaos.strikes"]["measured"]) > 0
    lines = list(read(folder / "soak.jsonl"))
    names = {process["name"] for line in lines if line["kind"] == "sample" for process in line["processes"]}
    assert {"manager", "brain", "control", "simulator", "camera"} <= names
    assert (folder / "soak.png").read_bytes()[:4] == b"\x89PNG"
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr
    assert whose_environment_names(str(tmp_path)) == []


@pytest.mark.timeout(300)  # a minute on two idle cores
@pytest.mark.heavy
def test_ctrl_c_in_the_middle_leaves_a_summary_and_no_process(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    with subprocess.Popen(
        command(tmp_path / "out", "--cycles", "100"), env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        heard = ""
        for line in process.stdout:
            heard += line
            if "rest 1:" in line:
                break
        os.killpg(process.pid, signal.SIGINT)
        heard += process.stdout.read()
    assert process.returncode == INTERRUPTED, heard
    assert "interrupted; what was found until then is in" in heard
    assert not any(word in heard for word in ("Traceback", "Fatal", "terminate called", "Exception ignored"))
    (folder,) = (tmp_path / "out").iterdir()
    assert json.loads((folder / "summary.json").read_text())["verdicts"]
    assert whose_environment_names(str(tmp_path)) == []
