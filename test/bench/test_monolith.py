from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import benchmarks
from bbia_ros.demo.memory import Sample
from bbia_ros.demo.play import Run
from bbia_ros.emotion.parameters import EmotionParameters
from bbia_ros.ros.parameters import build, declarations
from benchmarks import monolith
from benchmarks.comparison import COMPARED
from benchmarks.harness import AREAS

MB = 1_000_000


def values(figures: list[Any]) -> dict[str, float | None]:
    return {item["id"]: item["value"] for item in figures}


def course() -> monolith.Course:
    steps = [("ROS", 70.0), ("YOLO", 800.0), ("ready", 2400.0), ("line", 2700.0), ("done", 2650.0)]
    return monolith.Course(steps, [(0.0, 2400 * MB), (1.0, 2600 * MB), (3.0, 2600 * MB)])


def test_the_baseline_s_peak_is_seen_from_inside_and_outside_and_its_mean_over_time() -> None:
    found = values(monolith.report(course()))
    assert found["monolith.peak_mb"] == 2700.0
    assert found["monolith.mean_mb"] == pytest.approx(2533.3, abs=0.1)
    note = monolith.report(course())[0]["note"]
    assert note == "ROS +70, YOLO +730"


def test_the_baseline_s_process_finds_its_module_wherever_we_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with monolith._child([sys.executable, "-c", "import benchmarks; print(benchmarks.__file__)"], None) as process:
        assert process.stdout is not None
        assert process.stdout.read().strip() == benchmarks.__file__


def visit(tasks: tuple[str, ...], left: bool = False) -> Any:
    models = [SimpleNamespace(task=task, pid=40) for task in tasks] + [SimpleNamespace(task="tts", pid=41)]
    status = SimpleNamespace(message=SimpleNamespace(models=models))
    samples = [
        Sample(0.0, 1000 * MB, 2, {1: 0, 40: 0, 41: 0}),
        Sample(2.0, 3000 * MB, 2, {1: 0, 40: 0}),
        Sample(4.0, 1000 * MB, 0, {1: 0, 40: 0} if left else {1: 0}),
    ]
    run = Run(figures={"memory.sleep_growth_mb": (1.5, "MB")})
    return SimpleNamespace(history={"manager/status": [status]}, samples=samples, run=run)


def test_the_stack_s_peak_mean_and_what_is_left() -> None:
    found = values(monolith.report_workers(visit(monolith.TORCH_TASKS)))
    assert found["monolith.workers_peak_mb"] == 3000.0
    assert found["monolith.workers_mean_mb"] == 2000.0
    assert found["monolith.workers_left"] == 0.0
    assert found["monolith.workers_growth_mb"] == 1.5
    assert values(monolith.report_workers(visit(monolith.TORCH_TASKS, left=True)))["monolith.workers_left"] == 1.0


def test_a_peak_without_all_torch_models_is_none() -> None:
    peak = monolith.report_workers(visit(("objects",)))[0]
    assert peak["value"] is None
    assert peak["note"] == "never loaded: chat, text_emotion"


def test_what_is_compared_is_measured() -> None:
    wanted = {id_ for row in COMPARED for area, id_ in row[2:4] if area == "monolith"}
    found = values(monolith.report(course())) | values(monolith.report_workers(visit(monolith.TORCH_TASKS)))
    assert wanted <= set(found)
    assert AREAS["monolith"] == ("monolith",)


def test_the_profile_has_text_classification_in_the_shared_worker(tmp_path: Path) -> None:
    profile = yaml.safe_load(monolith.write_profile(tmp_path / "p.yaml", tmp_path / "model").read_text())
    chosen = profile["/**/emotion"]["ros__parameters"]
    known = {declaration.name: declaration for declaration in declarations(EmotionParameters)}
    text = build(EmotionParameters, {name: known[name].check(value) for name, value in chosen.items()}).text
    assert (text.engine, text.worker) == (
        "transformers",
        profile["/**/perception"]["ros__parameters"]["objects.worker"],
    )
