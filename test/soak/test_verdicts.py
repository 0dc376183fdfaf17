from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from bbia_ros.soak import verdicts
from bbia_ros.soak.callers import Outcome
from bbia_ros.soak.health import Trouble
from bbia_ros.soak.record import Record
from bbia_ros.soak.rests import CYCLES, HOUSEHOLD, Rest, load_rests
from bbia_ros.soak.sampling import ProcessSample, Sample
from bbia_ros.soak.verdicts import (
    Verdict,
    judge_end,
    judge_health,
    judge_loop,
    judge_outcomes,
    judge_use,
    process_slopes,
)


def sample(mb: float, *, workers: int = 1, fds: int = 10, threads: int = 20, memfds: int = 1, shm: int = 4) -> Sample:
    size = int(mb * 1e6)
    rows = [ProcessSample("brain", "process", 1, size, size, size, fds, threads)]
    rows += [ProcessSample(f"worker {i}", "worker", 2 + i, 0, 0, 0, 0, 0) for i in range(workers)]
    return Sample(tuple(rows), memfds, 100, shm, 200)


def rests(sizes: Iterable[float], part: str = CYCLES) -> list[Rest]:
    return [Rest(part, n, 60.0 * n, sample(size)) for n, size in enumerate(sizes, 1)]


def judge_memory(series: list[Rest]) -> list[Verdict]:
    return verdicts.judge_memory(series[0].part if series else CYCLES, series)


def failed(judged: list[Verdict]) -> set[str]:
    return {verdict.key for verdict in judged if verdict.passed is False}


def wobble(count: int, size: float = 0.3) -> list[float]:
    return [size if n % 3 else -size for n in range(count)]


def test_a_hundred_quiet_cycles_pass() -> None:
    assert failed(judge_memory(rests(260 + w for w in wobble(100)))) == set()


def test_a_tenth_of_a_megabyte_a_cycle_is_a_leak() -> None:
    leak = rests(260 + 0.1 * n + w for n, w in enumerate(wobble(100)))
    assert failed(judge_memory(leak)) == {
        "cycles.pss_growth", "cycles.pss_slope", "cycles.anonymous_growth", "cycles.anonymous_slope"
    }  # fmt: skip
    assert process_slopes(leak)["brain"].slope == pytest.approx(0.1, abs=0.01)


def test_one_large_step_is_growth_though_the_median_slope_is_none() -> None:
    step = rests([260.0] * 90 + [270.0] * 10)
    assert failed(judge_memory(step)) == {"cycles.pss_growth", "cycles.anonymous_growth"}


def test_a_few_cycles_may_scatter_but_not_grow() -> None:
    assert failed(judge_memory(rests(260 + 0.03 * n + w for n, w in enumerate(wobble(10))))) == set()
    assert "cycles.pss_slope" in failed(judge_memory(rests(260 + 0.4 * n + w for n, w in enumerate(wobble(10)))))


def test_random_use_is_judged_by_its_noise() -> None:
    assert failed(judge_memory(rests((260 + w for w in wobble(20, 3.0)), HOUSEHOLD))) == set()
    warm = [250.0, 255.0, 258.0, 260.0, 261.0, 261.0]  # heaps that grow until everything has happened once
    assert failed(judge_memory(rests(warm + [261 + w for w in wobble(12, 0.1)], HOUSEHOLD))) == set()
    leak = rests((260 + 2.0 * n + w for n, w in enumerate(wobble(20, 1.0))), HOUSEHOLD)
    assert {"household.pss_slope", "household.anonymous_slope"} <= failed(judge_memory(leak))


@pytest.mark.parametrize(
    ("key", "more"),
    [
        ("workers", sample(260, workers=2)),
        ("fds", sample(260, fds=11)),
        ("threads", sample(260, threads=21)),
        ("memfds", sample(260, memfds=2)),
        ("shm", sample(260, shm=5)),
    ],
)
def test_one_more_of_anything_fails(key: str, more: Sample) -> None:
    quiet = rests([260.0] * 12)
    grown = [Rest(CYCLES, number, 60.0 * number, more) for number in (13, 14, 15)]
    assert failed(judge_memory([*quiet, *grown])) == {f"cycles.{key}"}
    assert failed(judge_memory([*quiet, grown[0], *rests([260.0] * 2)])) == set()  # for a moment
    assert failed(judge_memory([quiet[0], grown[0]])) == {f"cycles.{key}"}
    assert failed(judge_memory([*grown, *quiet])) == set()  # less is fine


def test_a_stack_that_does_not_come_to_rest_fails() -> None:
    series = rests([260.0] * 12)
    series[4] = Rest(CYCLES, 5, 300.0, sample(260), settled=False)
    assert failed(judge_memory(series)) == {"cycles.unsettled"}


def test_nothing_measured_is_nothing_shown() -> None:
    assert failed(judge_memory([])) == {"cycles.rests"}
    assert failed(judge_memory(rests([260.0]))) == {"cycles.rests"}


def test_a_model_that_a_cycle_did_not_use_is_named() -> None:
    series = [Rest(CYCLES, 1, 1.0, sample(1), used=("stt", "chat")), Rest(CYCLES, 2, 2.0, sample(1), used=("stt",))]
    (verdict,) = judge_use(series, ("stt", "chat"))
    assert (verdict.measured, verdict.passed) == ("chat in 1", False)


def test_trouble_and_tracebacks_fail_and_a_retry_does_not() -> None:
    assert failed(judge_health([], 0, 2)) == set()
    assert failed(judge_health([Trouble("model x has FAILED", 1.0)], 0, 0)) == {"health.troubles"}
    assert failed(judge_health([], 1, 0)) == {"health.tracebacks"}


def test_a_model_in_use_that_never_comes_back_is_lost() -> None:
    back = Outcome("kill", "faces", 1, 0.0, True, 0.02, 0.3, 1.2, True)
    unwanted = Outcome("kill", "chat", 2, 0.0, True, 0.02)
    lost = Outcome("kill", "objects", 3, 0.0, True, 0.02, 0.3, closed=True, lost=True)
    assert failed(judge_outcomes([back, unwanted])) == set()
    outcomes = judge_outcomes([back, unwanted, lost])
    assert failed(outcomes) == {"chaos.lost"}
    assert outcomes[0].measured == "3, 3 in use; told 0.02 s (max 0.02); back 1.20 s (max 1.20)"


def test_the_motion_loop_is_compared_with_and_without_strikes() -> None:
    (verdict,) = judge_loop([(5.0, 0.010), (25.0, 0.012), (60.0, 0.010)], strikes=[20.0])
    assert verdict.measured == "10.0 and 12.0 ms"
    assert judge_loop([(5.0, 0.010)], strikes=[]) == []


def test_files_that_libraries_keep_are_counted_and_others_are_judged() -> None:
    assert failed(judge_end(["fastrtps_port7001", "sem.fastrtps_port7001_mutex", "lttng-ust-wait-6"])) == set()
    assert failed(judge_end(["fastrtps_0123456789abcdef"])) == {"end.shm"}
    assert failed(judge_end(["fastrtps_0123456789abcdef"], killed=1)) == set()  # nobody was left to remove it
    assert failed(judge_end(["bbia-block"], killed=1)) == {"end.shm"}
    more = [Rest(HOUSEHOLD, n, 60.0 * n, sample(260, shm=4 + n)) for n in range(8)]
    assert failed(verdicts.judge_memory(HOUSEHOLD, more)) == {"household.shm"}
    assert failed(verdicts.judge_memory(HOUSEHOLD, more, killed=1)) == set()


def test_measurements_at_rest_come_back_from_the_record(tmp_path: Path) -> None:
    record = Record(tmp_path / "soak.jsonl", clock=lambda: 12.5)
    written = [
        Rest(CYCLES, 1, 0.0, sample(260)),
        Rest(HOUSEHOLD, 1, 0.0, sample(260, workers=2), False, ("chat",)),
    ]
    for rest in written:
        record.write("rest", **rest.plain())
    record.write("sample", **sample(1).plain())
    assert load_rests(record.path, CYCLES) == written[:1]
    assert load_rests(record.path, HOUSEHOLD) == written[1:]
