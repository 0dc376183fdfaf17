"""What residency costs: leases, calls to a worker against calls in this process, starts and ends of workers.

Times of microseconds are disturbed by whatever else the machine does, always upwards. So each is measured in several
rounds, ours and the baseline in turns, and the figure is the lowest of the rounds' percentiles: the cost itself, not
the neighbours'.

Run with `bbia bench memory`, or alone: `python -m benchmarks.residency [--quick]`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bbia_ros.residency import Lease, Measurements, ModelSpec, Pool
from bbia_ros.residency.accounting import memory
from benchmarks.harness import Figure, figure, main, percentile
from benchmarks.specs import default_specs
from benchmarks.toy_engine import Toy

_MB = 1e6


def durations(call: Callable[[], Any], count: int, warm: int = 20) -> list[float]:
    """How long each of many calls takes, after a few that are not counted [s]."""
    for _ in range(warm):
        call()
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return times


def spec(name: str, **arguments: Any) -> ModelSpec:
    """A toy model with a worker of its own; nice 0 as the process that it is compared with."""
    return ModelSpec(name, "benchmark", "benchmarks.toy_engine:Toy", arguments, nice=0, declared_mb=20)


@contextmanager
def fresh_pool() -> Iterator[Pool]:
    """A pool that keeps nothing on disk, whose workers find this package."""
    root = str(Path(__file__).parents[1])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, before]))
    try:
        with Pool(measurements=Measurements("")) as pool:
            yield pool
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


class _NoWorker:
    """Answers without doing anything: what is left is the pool's bookkeeping."""

    pid, death_fd, dead, blameless, inline = 0, -1, False, False, False

    def load(self, *_: Any) -> tuple[int, int]:
        return 1, 1

    def call(self, *_: Any) -> None:
        return None

    def private_over(self, limit: int, exact: bool = False) -> int:
        return 0

    def begin_end(self) -> None:
        pass

    def finish_end(self, deadline: float) -> tuple[int, int]:
        return 1, 1


ROUNDS = 5


def lowest(rounds: Sequence[Sequence[float]], share: float) -> float:
    """The lowest of the rounds' percentiles."""
    return min(percentile(one, share) for one in rounds)


def bookkeeping(resident: Lease, pool: Pool, count: int) -> list[Figure]:
    """Acquire of a resident model; acquire and release; and what the pool adds to a call."""
    toy = resident.spec
    acquired = [acquisitions(pool, toy, count) for _ in range(ROUNDS)]
    with Pool(measurements=Measurements(""), worker_factory=lambda _: _NoWorker()) as alone:  # type: ignore[arg-type,return-value]
        held = alone.acquire(spec("bookkeeping"))
        taken = [durations(lambda: alone.acquire(held.spec).release(), count) for _ in range(ROUNDS)]
        held.call("echo")
        called = [durations(lambda: held.call("echo"), count) for _ in range(ROUNDS)]
    note = f"lowest of {ROUNDS} rounds of {count}"
    rows = [
        ("acquire", "acquire of a resident model", acquired, "<= 10"),
        ("lease", "acquire and release a lease", taken, ""),
        ("bookkeeping", "what the pool adds to a call", called, ""),
    ]
    return [
        figure(f"memory.{key}_us_{name}", f"{what}, {word}", lowest(rounds, share) * 1e6, "us",
               goal=goal if name == "p50" else "", note=note)
        for key, what, rounds, goal in rows
        for name, word, share in (("p50", "median", 0.5), ("p99", "99 %", 0.99))
    ]  # fmt: skip


def acquisitions(pool: Pool, model: ModelSpec, count: int) -> list[float]:
    """How long each of many acquisitions takes; their releases are not counted [s]."""
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        lease = pool.acquire(model)
        times.append(time.perf_counter() - begun)
        lease.release()
    return times


def calls(lease: Lease, detector: Lease, count: int) -> list[Figure]:
    """Calls through a lease against the same method of the same engine in this process, in turns."""
    from bbia_ros.perception.detect_onnx import OnnxDetector

    here = Toy()
    bare = OnnxDetector(**detector.spec.arguments)
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    images, looks = count // 4, max(10, count // 40)
    both = [durations(lambda: lease.call("echo", image), images) for _ in range(ROUNDS)]
    streamed = [durations(lambda: list(lease.stream("count", 1000)), max(3, count // 400), 2) for _ in range(ROUNDS)]
    empty = "an engine that does nothing"
    return [
        *added("small_call", f"small call to {empty}", lambda: lease.call("echo", 1), lambda: here.echo(1), count,
               ("", "<= 0.2")),
        *added("image_call", f"call with a 640x480x3 image to {empty}", lambda: lease.call("shape", image),
               lambda: here.shape(image), images, ("<= 1.5", "<= 3")),
        *added("detect_call", "the same to the detector", lambda: detector.call("detect", image),
               lambda: bare.detect(image), looks, ("<= 1.5", "<= 3")),
        figure("memory.image_echo_ms", "640x480x3 image there and back, median", lowest(both, 0.5) * 1e3, "ms"),
        figure("memory.stream_item_us", "item of a stream, median", lowest(streamed, 0.5) * 1e3, "us"),
    ]  # fmt: skip


def added(
    key: str, what: str, there: Callable[[], Any], here: Callable[[], Any], count: int, goals: tuple[str, str]
) -> list[Figure]:
    """What a call through a lease takes more than in process, median and 99 %, with a goal each."""
    ours, bare = [], []
    for _ in range(ROUNDS):
        ours.append(durations(there, count))
        bare.append(durations(here, count))
    return [
        figure(
            f"memory.{key}_added_ms{suffix}",
            f"{what}: more than in process, {word}",
            (lowest(ours, share) - lowest(bare, share)) * 1e3,
            "ms",
            goal=goal,
            baseline=lowest(bare, share) * 1e3,
            note=f"lowest of {ROUNDS} rounds of {count}; baseline: the call in process",
        )
        for suffix, word, share, goal in (("", "median", 0.5, goals[0]), ("_p99", "99 %", 0.99, goals[1]))
    ]


def lives(pool: Pool, count: int) -> list[Figure]:
    """From the spawn of a worker to its answer, and from the release to the memory's return."""
    ready, ends, shares = [], [], []
    for _ in range(count):
        lease = pool.acquire(spec("start"))
        begun = time.perf_counter()
        lease.call("echo")
        ready.append(time.perf_counter() - begun)
        lease.release()
    bare = durations(lambda: subprocess.run([sys.executable, "-c", ""], check=True), count, 1)
    for _ in range(count):
        lease = pool.acquire(spec("large", megabytes=200))
        lease.call("echo")
        begun = time.perf_counter()
        record = lease.release()
        ends.append(time.perf_counter() - begun)
        assert record is not None
        shares.append(record.returned_bytes / record.held_bytes)
    several = []
    for _ in range(max(2, count // 3)):
        leases = [pool.acquire(spec(f"large{number}", megabytes=200)) for number in range(3)]
        for lease in leases:
            lease.call("echo")
        begun = time.perf_counter()
        pool.release(leases)
        several.append(time.perf_counter() - begun)
    return [
        figure(
            "memory.spawn_to_answer_ms",
            "absent model: call to answer of an empty engine, median",
            percentile(ready, 0.5) * 1e3,
            "ms",
            baseline=percentile(bare, 0.5) * 1e3,
            note="baseline: an empty Python process",
        ),
        figure("memory.release_ms", "release of a 200 MB model, longest", max(ends) * 1e3, "ms", goal="<= 500"),
        figure(
            "memory.release_three_ms",
            "release of three 200 MB models, longest",
            max(several) * 1e3,
            "ms",
            goal="<= 500",
        ),
        figure("memory.returned_share", "memory that came back, least", min(shares) * 100, "%", goal=">= 100"),
    ]


def figures(quick: bool) -> list[Figure]:
    """All figures of residency."""
    count = 400 if quick else 1600
    detection = replace(default_specs()["objects"], nice=0)  # as the process that it is compared with
    with fresh_pool() as pool:
        lease, detector = pool.acquire(spec("toy")), pool.acquire(detection)
        lease.call("echo")
        worker = memory(pool.snapshot()[0].pid)
        result = bookkeeping(lease, pool, count * 3) + calls(lease, detector, count)
        pool.release([lease, detector])
        result += lives(pool, 3 if quick else 12)
    return [
        *result,
        figure("memory.worker_uss_mb", "worker with an empty engine, private memory", worker.uss / _MB, "MB"),
    ]


if __name__ == "__main__":
    sys.exit(main(figures, "residency"))
