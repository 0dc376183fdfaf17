from __future__ import annotations

import subprocess
import sys

import pytest

from bbia_ros.residency.accounting import Memory
from bbia_ros.soak.processes import WORKER_MODULE
from benchmarks.sampling import Sample, Sampler, excess, mean, take


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


def test_totals_are_over_workers_or_over_all() -> None:
    sample = Sample(0.0, {1: Memory(9, 5, 3)}, {2: Memory(9, 7, 4), 3: Memory(9, 1, 1)})
    assert (sample.total_pss, sample.workers_pss, sample.workers_uss) == (13, 8, 5)


def test_a_real_child_is_sampled_until_it_ends() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.readline()"], stdin=subprocess.PIPE)
    try:
        with Sampler(lambda: {"child": child.pid}, period_s=0.01) as sampler:
            while not sampler.samples:
                assert child.poll() is None
        assert all(value > 0 for _, value in sampler.series(lambda sample: sample.total_pss))
        assert not any(sample.workers for sample in sampler.samples)
    finally:
        child.communicate(b"\n")
    assert take({"child": child.pid}).total_pss == 0


def test_a_real_worker_is_told_apart_from_its_process() -> None:
    # A process of the stack whose child runs the worker's module; without its sockets that one only waits for us.
    shell = (
        "import subprocess, sys\n"
        "code = 'import sys; sys.stdin.read()'\n"
        f"command = [sys.executable, '-c', code, {WORKER_MODULE.decode()!r}]\n"
        "subprocess.run(command, stdin=sys.stdin)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", shell], stdin=subprocess.PIPE)
    try:
        with Sampler(lambda: {"brain": process.pid}, period_s=0.01) as sampler:
            while not (sampler.samples and sampler.samples[-1].workers):
                assert process.poll() is None
        last = sampler.samples[-1]
        assert list(last.shells) == [process.pid]
        assert last.total_pss > last.workers_pss > 0
    finally:
        process.communicate()
