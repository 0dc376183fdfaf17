from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from bbia_ros.demo.memory import Sample
from benchmarks import comparison, deaths_in_stack, harness, residency, small_budget, soak_results, stack
from benchmarks.harness import Figure, figure, run_area, write
from benchmarks.small_budget import Talk
from benchmarks.table import markdown


def by_id(figures: list[Figure]) -> dict[str, Figure]:
    return {item["id"]: item for item in figures}


def talk(**changes: Any) -> Talk:
    calm = [(0.1 * number, 400e6) for number in range(50)]
    given: dict[str, Any] = {"said": ["see", "moon"], "latencies": {"see": 1.0, "moon": 3.0}}
    given |= {"private": calm, "pss": calm, "sentences": ["chat waits for room"], "loads": 5, "evictions": 2}
    return Talk(**{**given, **changes})


def test_a_conversation_within_its_budget_that_says_so_meets_every_goal() -> None:
    found = small_budget.report(talk(), 500.0)
    assert [item["id"] for item in found if item["met"] is False] == []
    assert by_id(found)["memory.small_budget_answer_max_s"]["value"] == 3.0


def test_a_line_without_an_answer_is_missed_and_named() -> None:
    found = by_id(small_budget.report(talk(failures={"moon": "the robot does not answer"}), 500.0))
    answers = found["memory.small_budget_answers"]
    assert (answers["value"], answers["met"]) == (1, False)
    assert "moon: the robot does not answer" in answers["note"]


def test_five_percent_over_for_more_than_a_second_is_missed() -> None:
    brief = [(0.1 * number, 530e6 if 10 <= number < 19 else 520e6) for number in range(50)]
    long = [(0.1 * number, 530e6 if 10 <= number < 22 else 520e6) for number in range(50)]
    assert by_id(small_budget.report(talk(private=brief), 500.0))["memory.small_budget_over_s"]["met"]
    assert not by_id(small_budget.report(talk(private=long), 500.0))["memory.small_budget_over_s"]["met"]


def test_silence_about_what_is_given_up_is_missed() -> None:
    assert not by_id(small_budget.report(talk(sentences=[]), 500.0))["memory.small_budget_told"]["met"]


def status(**models: int) -> Any:
    return SimpleNamespace(
        nodes=[SimpleNamespace(detail="stt waits"), SimpleNamespace(detail="")],
        pressure=SimpleNamespace(events=["faces goes"]),
        processes=[SimpleNamespace(pid=1, name="brain")],
        models=[
            SimpleNamespace(name=task, task=task, pid=pid, last_error="", evictions=0, last_release="")
            for task, pid in models.items()
        ],
    )


def test_each_sentence_of_the_stack_is_told_once() -> None:
    assert small_budget.told([status(), status()]) == ["stt waits", "faces goes"]


def test_the_peak_says_what_it_was_made_of() -> None:
    samples = [Sample(0.0, 90, 1, {1: 90_000_000}), Sample(1.0, 150_000_000, 1, {1: 50_000_000, 2: 100_000_000})]
    assert stack.peak(samples, stack.names_of([status(vad=2)])) == (150.0, "vad 100, brain 50")
    assert stack.peak([], {}) == (None, "")


def test_everything_is_resident_only_with_a_worker_of_each_task() -> None:
    pids = {task: 10 + number for number, task in enumerate(sorted(stack.RESIDENT))}
    sample = Sample(0.0, 0, 9, dict.fromkeys(pids.values(), 1))
    assert stack.all_resident(sample, [status(**pids)])
    without = {pid: 1 for task, pid in pids.items() if task != "stt"}
    assert not stack.all_resident(Sample(0.0, 0, 8, without), [status(**pids)])


def test_a_worker_that_does_not_come_back_is_a_miss_and_named() -> None:
    found = by_id(deaths_in_stack.report({"vad": 0.5, "stt": None}, 10.5, 10.9))
    back = found["memory.death_stack_back_s"]
    assert (back["value"], back["met"]) == (None, False)
    assert "stt" in back["note"]
    assert found["memory.death_loop_more_ms"]["met"]


def test_a_shaken_loop_is_a_miss() -> None:
    found = by_id(deaths_in_stack.report({"vad": 0.5}, 10.5, 12.0))
    assert not found["memory.death_loop_more_ms"]["met"]
    assert not by_id(deaths_in_stack.report({"vad": 0.5}, None, None))["memory.death_loop_more_ms"]["met"]


def test_the_lowest_round_counts() -> None:
    assert residency.lowest([[5.0, 6.0, 7.0], [1.0, 2.0, 9.0]], 0.5) == 2.0


def test_ours_is_compared_with_the_process_that_keeps_everything(tmp_path: Path) -> None:
    write(tmp_path / "operations.json", [figure("memory.peak_converse_mb", "x", 900.0, "MB")])
    write(tmp_path / "monolith.json", [figure("monolith.peak_mb", "x", 2000.0, "MB")])
    found = by_id(comparison.run(tmp_path, Console(quiet=True)))
    assert (found["memory.peak_share"]["value"], found["memory.peak_share"]["met"]) == (45.0, True)
    assert found["memory.mean_share"]["value"] is None
    assert "bbia bench operations" in found["memory.mean_share"]["note"]
    assert json.loads((tmp_path / "comparison.json").read_text())["command"] == "make bench"


def test_with_nothing_to_compare_nothing_is_written(tmp_path: Path) -> None:
    assert comparison.run(tmp_path, Console(quiet=True)) == []
    assert list(tmp_path.iterdir()) == []


def test_an_area_whose_library_is_missing_is_left_out_and_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(harness, "NEEDS", {"memory": ("no_such_library", "make everything")})
    assert run_area("memory", True, tmp_path) == []
    assert "make everything" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_benchmark_that_breaks_off_is_told_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = {
        "benchmarks.bad": SimpleNamespace(figures=lambda quick: 1 / 0),
        "benchmarks.good": SimpleNamespace(figures=lambda quick: [figure("a.b", "x", 1.0, "s")]),
    }
    monkeypatch.setattr(harness, "AREAS", {"memory": ("bad", "good")})
    monkeypatch.setattr(harness.importlib, "import_module", modules.__getitem__)
    found = by_id(run_area("memory", True, tmp_path, Console(quiet=True)))
    assert found["a.b"]["value"] == 1.0
    assert found["memory.bad"]["met"] is False
    assert "ZeroDivisionError" in found["memory.bad"]["note"]


def test_the_verdicts_of_the_last_soak_stand_in_the_table(tmp_path: Path) -> None:
    verdict = {"key": "chaos.lost", "what": "lost models", "measured": "1 and 2", "limit": "0", "passed": False}
    options = {"cycles": 3, "minutes": 2.5, "chaos": True, "seed": 7}
    for name, measured in (("soak-1", "0"), ("soak-2", "1 and 2")):
        (tmp_path / name).mkdir()
        content = {"options": options, "verdicts": [{**verdict, "measured": measured}]}
        (tmp_path / name / "summary.json").write_text(json.dumps(content))
    summary = soak_results.newest(tmp_path)
    write(tmp_path / "soak.json", soak_results.figures(summary), soak_results.command(summary))
    table = markdown(tmp_path)
    assert "| lost models | 1 and 2 | 0 |  | **missed** |" in table
    assert "`bbia soak --cycles 3 --minutes 2.5 --chaos --seed 7`" in table
    with pytest.raises(FileNotFoundError, match="make soak"):
        soak_results.newest(tmp_path / "nowhere")
