from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bbia_ros.residency.accounting import Memory
from benchmarks.sampling import WORKER, Sample, Sampler, excess, family, is_worker, mean, take


def series(*values: float, period_s: float = 0.1) -> list[tuple[float, float]]:
    return [(number * period_s, value) for number, value in enumerate(values)]


def test_the_longest_stretch_over_the_limit_is_found_and_all_of_them_are_added() -> None:
    over = excess(series(1, 9, 9, 1, 9, 9, 9, 1, 1), 5)
    assert over.longest_s == pytest.approx(0.3)
    assert over.total_s == pytest.approx(0.5)
    assert over.worst == 9


def test_at_the_limit_is_not_over_it() -> None:
    assert excess(series(5, 5, 5), 5).longest_s == 0.0


def test_a_stretch_that_lasts_to_the_end_counts() -> None:
    assert excess(series(1, 9, 9, 9), 5).longest_s == pytest.approx(0.2)


def test_a_slow_sampler_does_not_shorten_what_was_over() -> None:
    assert excess([(0.0, 9.0), (2.5, 9.0), (2.6, 1.0)], 5).longest_s == pytest.approx(2.6)


def test_without_samples_nothing_is_claimed() -> None:
    with pytest.raises(ValueError, match="no samples"):
        excess([], 5)
    with pytest.raises(ValueError, match="two samples"):
        mean([(0.0, 1.0)])


def test_a_mean_weighs_by_time() -> None:
    assert mean([(0.0, 10.0), (1.0, 0.0), (4.0, 99.0)]) == pytest.approx(2.5)


def fake_process(proc: Path, pid: int, parent: int, name: str = "python", command: str = "python\0x") -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    (folder / "stat").write_text(f"{pid} ({name}) S {parent} 1 1 0")
    (folder / "cmdline").write_bytes(command.encode())


def test_all_descendants_belong_to_the_family_whatever_they_are_called(tmp_path: Path) -> None:
    (tmp_path / "meminfo").touch()
    fake_process(tmp_path, 10, 1)
    fake_process(tmp_path, 11, 10, name="a (b) 9 c")
    fake_process(tmp_path, 12, 11)
    fake_process(tmp_path, 20, 1)
    (tmp_path / "30").mkdir()  # has just ended
    assert family([10], tmp_path) == [10, 11, 12]
    assert family([10, 11, 99], tmp_path) == [10, 11, 12]


def test_a_worker_is_known_by_its_module(tmp_path: Path) -> None:
    fake_process(tmp_path, 10, 1, command=f"python\0-m\0{WORKER}\x007")
    fake_process(tmp_path, 11, 1, command=f"grep\0{WORKER}-like")
    assert is_worker(10, tmp_path)
    assert not is_worker(11, tmp_path)
    assert not is_worker(12, tmp_path)


def test_totals_are_over_workers_or_over_all() -> None:
    sample = Sample(0.0, {1: Memory(9, 5, 3)}, {2: Memory(9, 7, 4), 3: Memory(9, 1, 1)})
    assert (sample.total_pss, sample.workers_pss, sample.workers_uss) == (13, 8, 5)


def test_a_real_child_is_sampled_until_it_ends() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.stdin.readline()  # {WORKER}", WORKER],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with Sampler(lambda: [child.pid], period_s=0.01) as sampler:
            while not any(sample.workers for sample in list(sampler.samples)):
                assert child.poll() is None
            assert all(value > 0 for _, value in sampler.series(lambda sample: sample.total_pss))
    finally:
        child.communicate(b"\n")
    assert take([child.pid]).total_pss == 0
