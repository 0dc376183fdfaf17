"""The command line, without a stack."""

import json
import subprocess
import sys
from types import SimpleNamespace as Message

import pytest

from bbia_ros import cli
from bbia_ros.commands import up
from bbia_ros.manager.view import as_data, render_status
from bbia_ros.manager.view_memory import why


def run(*words):
    return subprocess.run([sys.executable, "-m", "bbia_ros.cli", *words], capture_output=True, text=True, timeout=60)


def sample_status():
    model = Message(name="stt:tiny", node="speech", task="stt", group="stt", engine="e:E", state="IDLE", pid=7,
                    pss_bytes=120_000_000, loads=1, evictions=0, last_error="", load_s=0.5, last_release="",
                    last_used=Message(sec=5, nanosec=500_000_000), pinned=False, leaking=False, device="cpu",
                    budget_bytes=110_000_000, vram_bytes=0, ttl_s=300.0, variants=["small", "tiny"])  # fmt: skip
    pressure = Message(rung=2, available_bytes=112_000_000, some_avg10=34.0, full_avg10=float("nan"), cgroup_bytes=0,
                       cgroup_limit_bytes=0, given_up=["variant stt: small -> tiny"],
                       events=["11:04:05 pressure: MemAvailable 112 MB < 150 MB: unloaded tts:joe (151 MB)"]
                       )  # fmt: skip
    return Message(
        header=Message(stamp=Message(sec=10, nanosec=0)), mode="idle", target_mode="watch",
        nodes=[Message(name="driver", state="active", process="control", detail=""),
               Message(name="speech", state="unknown", process="brain", detail="[its] process has ended")],
        processes=[Message(name="control", pid=6, pss_bytes=80_000_000)], models=[model],
        budget_bytes=800_000_000, workers_bytes=120_000_000, total_pss_bytes=200_000_000, available_bytes=2_000_000_000,
        reserved_bytes=110_000_000, eviction="weighted", groups=[Message(group="stt", limit=2, resident=1)],
        pressure=pressure,
    )  # fmt: skip


def text_of(renderable, width=140):
    from rich.console import Console

    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(renderable)
    return console.export_text()


def test_help_names_every_command():
    text = run("--help").stdout
    assert all(f"    {name} " in text for name in ("up", "status", "mode", "nodes", "models", "demo", "version"))


@pytest.mark.parametrize("command", ["up", "status", "mode", "nodes", "models", "demo", "version"])
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    assert end.value.code == 0
    assert "usage: bbia" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["up", "--mode", "dance"], "unknown mode 'dance'; known: sleep"),
        (["up", "--driver", "lego"], "unknown driver 'lego'; known: mujoco"),
        (["up", "--param", "speech=3"], "write node.key=value"),
        (["up", "--param", "legs.x=3"], "unknown node 'legs'"),
        (["up", "--domain", "999"], "ROS domain 999 does not exist"),
        (["models", "check", "gpt"], "unknown model 'gpt'; known: "),
        (["models", "list", "--task", "smell"], "unknown task 'smell'"),
        (["models", "fetch", "gpt"], "unknown model 'gpt'; known: "),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(words, says, capfd, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("ROS_DOMAIN_ID", "90")
    assert cli.main(words) == 2
    error = capfd.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_parameters_and_choices_become_options(monkeypatch):
    words = ["up", "--mode", "watch", "--param", "speech.stt.ttl_s=5.0", "--param", "speech.vad.threads=2"]
    options = up.options_of(cli.make_parser().parse_args(words))
    assert options.mode == "watch"
    assert options.parameters == {"speech": {"stt.ttl_s": 5.0, "vad.threads": 2}}


def test_warnings_of_processes_are_shown_and_the_rest_is_not():
    shown = []
    display = up.Display(Message(print=lambda text, **_: shown.append(text)))
    display.line("brain", "[INFO] [1795336375.197328797] [bbia.speech]: hello")
    display.line("brain", "[ERROR] [1795336375.197328797] [bbia.speech]: no [model]")
    display.line("brain", "Traceback (most recent call last):")
    assert shown == ["bbia.speech: no [model]"]


def test_the_view_shows_what_the_status_says():
    text = text_of(render_status(sample_status()))
    assert "mode idle -> watch" in text
    assert "[its] process has ended" in text
    assert "120 of 800 MB" in text
    assert "stack 200 MB" in text
    assert "no manager" in text_of(render_status(None))
    without = sample_status()
    without.budget_bytes = 0
    assert "120 MB, no budget" in text_of(render_status(without))


def test_the_view_tells_why_models_are_there_and_what_was_given_up_in_100_columns():
    text = text_of(render_status(sample_status()), width=100)
    assert "used 4 s ago, 5 min left" in " ".join(text.split())
    assert "* tiny" in text
    assert "110 MB reserved   stt 1/2   eviction weighted" in text
    assert "smaller variants   waited for (PSI): some 34 %" in text
    assert "given up: variant stt: small -> tiny" in text
    assert "unloaded tts:joe (151 MB)" in text
    assert max(len(line) for line in text.splitlines()) <= 100


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "used 4 s ago, 5 min left"), ({"pinned": True}, "used 4 s ago, pinned"), ({"state": "BUSY"}, "in use"),
        ({"ttl_s": 0.0}, "used 4 s ago, stays"), ({"pid": 0, "state": "ABSENT"}, ""),
        ({"ttl_s": 2.0}, "used 4 s ago, 0 s left"),
        ({"last_used": Message(sec=0, nanosec=0)}, "loaded, not used yet, for 5 min"),
    ],
)  # fmt: skip
def test_why_a_model_is_in_memory(changes, says):
    (model,) = sample_status().models
    vars(model).update(changes)
    assert why(model, 10.0) == says


def test_the_status_as_data_is_json():
    data = json.loads(json.dumps(as_data(sample_status())))
    assert data["models"][0]["last_used"] == 5.5
    assert data["nodes"][1]["state"] == "unknown"
    assert data["total_pss_bytes"] == 200_000_000
    assert data["groups"] == [{"group": "stt", "limit": 2, "resident": 1}]
    assert (data["pressure"]["rung"], data["pressure"]["full_avg10"]) == (2, None)


def test_models_are_listed_with_their_task():
    text = run("models", "list", "--task", "stt").stdout
    assert "whisper-tiny" in text
    assert "piper" not in text


def test_a_command_without_a_stack_says_so():
    result = subprocess.run(
        [sys.executable, "-m", "bbia_ros.cli", "status", "--once", "--timeout", "0.5", "--namespace", "nowhere"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert result.returncode == 1
    assert "is the stack up (bbia up)" in result.stderr
    assert "Traceback" not in result.stderr
