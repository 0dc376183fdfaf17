"""What a soak has shown, judged."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bbia_ros.soak.callers import LOST_S, Outcome
from bbia_ros.soak.chaos import KILL
from bbia_ros.soak.fit import Line, fit
from bbia_ros.soak.health import Trouble
from bbia_ros.soak.rests import CYCLES, Rest
from bbia_ros.soak.sampling import Sample

GROWTH_MB = 5.0
"""Total PSS in sleep after the last cycle may exceed that after the first by so much."""
SLOPE_MB = 0.02
"""And grow by so much a cycle."""
FEW_CYCLES = 30
"""Fewer cycles than this cannot show so small a slope: one within noise passes too."""
TOLD_S, BACK_S = 0.1, 3.0
"""After a SIGKILL in use: until the caller is told, until the model serves again [s]. Measured, not judged here: on a
machine that the soak itself keeps busy these are the benchmark's figures."""
WARM_FROM = 9
"""With fewer measurements than this none is left out as warm-up."""
AT_ENDS = 3
"""Threads and descriptors are the fewest of so many measurements at either end: some threads linger for seconds."""
FAST_DDS = "fastrtps_"
"""In the names of all files in /dev/shm that Fast DDS makes."""
LIBRARIES_KEEP = ("fastrtps_port", "lttng-ust-wait")
"""In the names of files in /dev/shm that libraries keep for whoever comes next: Fast DDS for the ports of a domain,
LTTng for the machine."""


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


def judge_memory(part: str, rests: Sequence[Rest], killed: int = 0) -> list[Verdict]:
    """Slope and growth of the memory at rest, for one part of the soak.

    Args:
        part: its name.
        rests: what was measured.
        killed: how many processes with nodes were killed: what Fast DDS then leaves in /dev/shm is not judged.
    """
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
    for what, value in (("PSS", _pss), ("anonymous memory", _anon)):
        verdicts += _growth(rests, what, value)
    return verdicts + _counts(rests, killed)


def process_slopes(rests: Sequence[Rest]) -> dict[str, Line]:
    """Slope of each process's anonymous memory at rest [MB per cycle or minute], of those that are always there."""
    names = [{process.name for process in rest.sample.processes} for rest in rests]
    common = set.intersection(*names) if names else set()
    rests = rests if not rests or rests[0].part == CYCLES else rests[warm_up(len(rests)) :]
    return {
        name: fit(positions(rests), [sum(p.anon for p in r.sample.processes if p.name == name) / 1e6 for r in rests])
        for name in sorted(common)
    }


def warm_up(count: int) -> int:
    """How many of the measurements are left out of the slope under random use.

    Heaps grow until everything has happened once: a third of the time, when enough is left. A leak does not stop.
    """
    return count // 3 if count >= WARM_FROM else 0


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
    lost = [each for each in outcomes if each.lost]
    for kind, count in sorted(Counter(each.kind for each in outcomes).items()):
        used = [each for each in outcomes if each.kind == kind and each.in_use]
        told = [each.told_s for each in used if each.told_s is not None]
        back = [each.back_s for each in used if each.back_s is not None]
        words = f"{count}, {len(used)} in use; told {_spread(told)}; back {_spread(back)}"
        goal = f"told {TOLD_S:g} s, back {BACK_S:g} s, on a machine with time to spare" if kind == KILL else ""
        verdicts.append(Verdict(f"chaos.{kind}", f"chaos: {kind}", words, goal))
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
        strikes: times, in order [s].
        window_s: length of the window.
    """
    struck: list[float] = []
    calm: list[float] = []
    for at, p99 in p99s:
        after = bisect_left(strikes, at - window_s)
        hit = after < len(strikes) and strikes[after] <= at
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


def judge_end(left: Sequence[str], killed: int = 0) -> list[Verdict]:
    """What the ended stack has left in /dev/shm.

    What libraries keep on purpose, which is used again by whoever comes next, is counted and not judged; nor is what
    Fast DDS leaves of processes that were killed.
    """
    kept = (*LIBRARIES_KEEP, FAST_DDS) if killed else LIBRARIES_KEEP
    others = [name for name in left if not any(library in name for library in kept)]
    words = f"{len(others)} ({', '.join(others[:3])})" if others else "0"
    return [
        Verdict("end.kept", "files that Fast DDS and LTTng keep in /dev/shm", str(len(left) - len(others))),
        Verdict("end.shm", "other files left in /dev/shm by the ended stack", words, "0", not others),
    ]


def _growth(rests: Sequence[Rest], what: str, value: Callable[[Sample], int]) -> list[Verdict]:
    part = rests[0].part
    sizes = [value(rest.sample) / 1e6 for rest in rests]
    warm = 0 if part == CYCLES else warm_up(len(rests))
    line = fit(positions(rests)[warm:], sizes[warm:])
    key, unit = what.split()[0].lower(), "MB/cycle" if part == CYCLES else "MB/min"
    slope = (
        f"{line.slope:+.3f} {unit} [{line.low:+.3f}, {line.high:+.3f}], {line.growth:+.1f} MB over all, scatter "
        f"{line.scatter:.1f} MB"
    )
    grown = sizes[-1] - sizes[0]
    growth, what_grown = f"{grown:+.1f} MB of {sizes[0]:.0f}", f"{part}: {what} in sleep, last minus first"
    what_slope = f"{part}: slope of {what}" + (f", after {warm} measurements of warm-up" if warm else "")
    if part != CYCLES:  # chaos moves single measurements: only their slope is judged
        return [
            Verdict(f"{part}.{key}_growth", what_grown, growth),
            Verdict(f"{part}.{key}_slope", what_slope, slope, "within noise", line.within_noise),
        ]
    few = len(rests) < FEW_CYCLES
    limit = f"<= {SLOPE_MB:g} {unit}" + (f" (fewer than {FEW_CYCLES} cycles: or within noise)" if few else "")
    return [
        Verdict(f"{part}.{key}_growth", what_grown, growth, f"<= {GROWTH_MB:g} MB", grown <= GROWTH_MB),
        Verdict(f"{part}.{key}_slope", what_slope, slope, limit, line.slope <= SLOPE_MB or (few and line.within_noise)),
    ]


def _counts(rests: Sequence[Rest], killed: int) -> list[Verdict]:
    part, some = rests[0].part, max(1, min(AT_ENDS, len(rests) // 2))
    rows: tuple[tuple[str, str, Callable[[Sample], int]], ...] = (
        ("workers", "workers", lambda sample: sample.workers),
        ("threads", "threads", lambda sample: sample.threads),
        ("fds", "descriptors", lambda sample: sample.fds),
        ("memfds", "pieces of our shared memory", lambda sample: sample.memfds),
        ("shm", "files in /dev/shm", lambda sample: sample.shm),
    )
    verdicts = []
    for key, what, count in rows:
        before, after = (min(count(rest.sample) for rest in end) for end in (rests[:some], rests[-some:]))
        words = f"{part}: {what}, at the beginning and at the end"
        passed, limit = (None, "") if killed and key == "shm" else (after <= before, "no more")
        verdicts.append(Verdict(f"{part}.{key}", words, f"{before} and {after}", limit, passed))
    return verdicts


def _pss(sample: Sample) -> int:
    return sample.pss


def _anon(sample: Sample) -> int:
    return sample.anon


def _median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else math.nan


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    return f"{_median(values):.2f} s (max {max(values):.2f})"
