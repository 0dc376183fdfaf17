"""What a soak has shown, judged."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bbia_ros.soak.callers import Outcome
from bbia_ros.soak.fit import Line, fit
from bbia_ros.soak.health import Trouble
from bbia_ros.soak.rests import CYCLES, Rest
from bbia_ros.soak.sampling import Sample

GROWTH_MB = 5.0
"""Total PSS in sleep after the last cycle may exceed that after the first by so much."""
SLOPE_MB = 0.02
"""And grow by so much a cycle."""
TOLD_S, BACK_S = 0.1, 3.0
"""After a SIGKILL in use: until the caller is told, until the model serves again [s]. Measured, not judged here: on a
machine that the soak itself keeps busy these are the benchmark's figures."""
LOST_S = 60.0
"""A model in use that does not come back within this time is lost [s]."""


@dataclass(frozen=True)
class Verdict:
    """One line of the summary.

    Attributes:
        key: short name.
        what: what was measured.
        measured: with unit.
        limit: what it is judged by; empty: it is not judged.
        passed: the judgement; None: not judged.
    """

    key: str
    what: str
    measured: str
    limit: str = ""
    passed: bool | None = None


def judge_memory(rests: Sequence[Rest]) -> list[Verdict]:
    """Slope and growth of the memory at rest, for one part of the soak."""
    part = rests[0].part if rests else ""
    if len(rests) < 2:
        return [Verdict(f"{part}.rests", f"{part}: measurements at rest", str(len(rests)), ">= 2", False)]
    unsettled = sum(not rest.settled for rest in rests)
    verdicts = [
        Verdict(
            f"{part}.unsettled",
            f"{part}: did not come to rest in sleep",
            f"{unsettled} of {len(rests)}",
            "0",
            unsettled == 0,
        )
    ]
    for what, value in (("PSS", _pss), ("private bytes", _uss)):
        verdicts += _growth(rests, what, value)
    return verdicts + _counts(rests)


def process_slopes(rests: Sequence[Rest]) -> dict[str, Line]:
    """Slope of each process's PSS at rest [MB per cycle or minute], of those that are in every measurement."""
    names = [{process.name for process in rest.sample.processes} for rest in rests]
    common = set.intersection(*names) if names else set()
    return {
        name: fit(positions(rests), [sum(p.pss for p in r.sample.processes if p.name == name) / 1e6 for r in rests])
        for name in sorted(common)
    }


def positions(rests: Sequence[Rest]) -> list[float]:
    """Where the measurements stand: number of the cycle, or minutes."""
    return [float(rest.number) if rest.part == CYCLES else rest.t / 60.0 for rest in rests]


def judge_health(troubles: Sequence[Trouble], tracebacks: int, retried: int) -> list[Verdict]:
    """What would have needed a person."""
    first = f": {troubles[0].what}" if troubles else ""
    return [
        Verdict("health.troubles", "needed a person", f"{len(troubles)}{first}", "0", not troubles),
        Verdict("health.tracebacks", "tracebacks and fatal errors in the logs", str(tracebacks), "0", tracebacks == 0),
        Verdict("health.retried", "mode changes that worked only the second time", str(retried)),
    ]


def judge_use(rests: Sequence[Rest], wanted: Iterable[str]) -> list[Verdict]:
    """Whether every cycle has loaded every model: one that was never used cannot leak."""
    missing = Counter(task for rest in rests for task in wanted if task not in rest.used)
    words = ", ".join(f"{task} in {count}" for task, count in missing.items())
    return [Verdict("cycles.used", "cycles: models that were not used", words or "none", "none", not missing)]


def judge_outcomes(outcomes: Sequence[Outcome]) -> list[Verdict]:
    """What the users of struck workers have seen."""
    verdicts = []
    lost = [each for each in outcomes if each.told_s is not None and each.in_use and each.back_s is None
            and each.loading_s is not None and not each.closed]  # fmt: skip
    for kind, count in sorted(Counter(each.kind for each in outcomes).items()):
        used = [each for each in outcomes if each.kind == kind and each.in_use]
        told = [each.told_s for each in used if each.told_s is not None]
        back = [each.back_s for each in used if each.back_s is not None]
        verdicts.append(
            Verdict(
                f"chaos.{kind}",
                f"chaos: {kind}",
                f"{count}, {len(used)} in use; told {_spread(told)}; back {_spread(back)}",
            )
        )
    verdicts.append(
        Verdict(
            "chaos.lost",
            f"chaos: models in use that did not come back within {LOST_S:g} s",
            str(len(lost)),
            "0",
            not lost,
        )
    )
    return verdicts


def judge_loop(p99s: Sequence[tuple[float, float]], strikes: Sequence[float], window_s: float = 10.0) -> list[Verdict]:
    """The motion loop's p99 with a strike in its window, against without.

    Args:
        p99s: (time, p99 of the 10 s before) [s].
        strikes: times [s].
        window_s: length of the window.
    """
    struck: list[float] = []
    calm: list[float] = []
    for at, p99 in p99s:
        hit = any(at - window_s <= strike <= at for strike in strikes)
        (struck if hit else calm).append(1000 * p99)
    if not struck or not calm:
        return []
    return [
        Verdict(
            "motion.p99",
            "motion loop's p99, without and with a strike in the 10 s before",
            f"{_median(calm):.1f} and {_median(struck):.1f} ms",
        )
    ]


def _growth(rests: Sequence[Rest], what: str, value: Callable[[Sample], int]) -> list[Verdict]:
    part = rests[0].part
    sizes = [value(rest.sample) / 1e6 for rest in rests]
    line = fit(positions(rests), sizes)
    key, unit = what.split()[0].lower(), "MB/cycle" if part == CYCLES else "MB/min"
    slope = (
        f"{line.slope:+.3f} {unit} [{line.low:+.3f}, {line.high:+.3f}], {line.growth:+.1f} MB over all, scatter "
        f"{line.scatter:.1f} MB"
    )
    grown = sizes[-1] - sizes[0]
    verdicts = [
        Verdict(
            f"{part}.{key}_growth",
            f"{part}: {what} in sleep, last minus first",
            f"{grown:+.1f} MB of {sizes[0]:.0f}",
            f"<= {GROWTH_MB:g} MB",
            grown <= GROWTH_MB,
        )
    ]
    if part == CYCLES:
        few = len(rests) < 10
        limit = f"<= {SLOPE_MB:g} {unit}" + (" (fewer than 10 cycles: or within noise)" if few else "")
        passed = line.slope <= SLOPE_MB or (few and line.within_noise)
        verdicts.append(Verdict(f"{part}.{key}_slope", f"{part}: slope of {what}", slope, limit, passed))
    else:
        verdicts.append(
            Verdict(f"{part}.{key}_slope", f"{part}: slope of {what}", slope, "within noise", line.within_noise)
        )
    return verdicts


def _counts(rests: Sequence[Rest]) -> list[Verdict]:
    first, last, part = rests[0].sample, rests[-1].sample, rests[0].part
    rows: tuple[tuple[str, str, int, int], ...] = (
        ("workers", "workers", first.workers, last.workers),
        ("threads", "threads", first.threads, last.threads),
        ("fds", "descriptors", first.fds, last.fds),
        ("memfds", "pieces of our shared memory", first.memfds, last.memfds),
        ("shm", "files in /dev/shm", first.shm, last.shm),
    )
    return [
        Verdict(f"{part}.{key}", f"{part}: {what}, first and last", f"{before} and {after}", "no more", after <= before)
        for key, what, before, after in rows
    ]


def _pss(sample: Sample) -> int:
    return sample.pss


def _uss(sample: Sample) -> int:
    return sample.uss


def _median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else math.nan


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    return f"{_median(values):.2f} s (max {max(values):.2f})"
