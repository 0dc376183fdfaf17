"""What residency costs: leases, calls to a worker against calls in this process, starts and ends of workers.

Run with `bbia bench memory`, or alone: `python -m benchmarks.residency [--quick]`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bbia_ros.residency import Lease, Measurements, ModelSpec, Pool
from bbia_ros.residency.accounting import memory
from benchmarks.harness import Figure, figure, main, percentile
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

    pid, death_fd, dead, blameless = 0, -1, False, False

    def load(self, *_: Any) -> tuple[int, int]:
        return 1, 1

    def call(self, *_: Any) -> None:
        return None

    def begin_end(self) -> None:
        pass

    def finish_end(self, deadline: float) -> tuple[int, int]:
        return 1, 1


def bookkeeping(count: int) -> list[Figure]:
    """Acquire and release; and what the pool adds to a call."""
    with Pool(measurements=Measurements(""), worker_factory=lambda _: _NoWorker()) as pool:  # type: ignore[arg-type,return-value]
        toy = spec("bookkeeping")
        held = pool.acquire(toy)
        taken = durations(lambda: pool.acquire(toy).release(), count)
        held.call("echo")
        called = durations(lambda: held.call("echo"), count)
    return [
        figure("memory.lease_us_p50", "acquire and release a lease, median", percentile(taken, 0.5) * 1e6, "us"),
        figure("memory.lease_us_p99", "acquire and release a lease, 99 %", percentile(taken, 0.99) * 1e6, "us"),
        figure(
            "memory.bookkeeping_us_p50", "what the pool adds to a call, median", percentile(called, 0.5) * 1e6, "us"
        ),
        figure("memory.bookkeeping_us_p99", "what the pool adds to a call, 99 %", percentile(called, 0.99) * 1e6, "us"),
    ]


def calls(lease: Lease, count: int) -> list[Figure]:
    """A small call and one with a camera image, against the same method called in this process."""
    here = Toy()
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    small = durations(lambda: lease.call("echo", 1), count)
    small_here = durations(lambda: here.echo(1), count)
    sent = durations(lambda: lease.call("shape", image), count // 4)
    sent_here = durations(lambda: here.shape(image), count // 4)
    both = durations(lambda: lease.call("echo", image), count // 4)
    streamed = durations(lambda: list(lease.stream("count", 1000)), max(3, count // 400), 2)

    def added(there: list[float], local: list[float], share: float) -> float:
        return (percentile(there, share) - percentile(local, share)) * 1e3

    return [
        figure(
            "memory.small_call_added_ms",
            "small call: more than in process, median",
            added(small, small_here, 0.5),
            "ms",
            goal="<= 0.2",
            baseline=percentile(small_here, 0.5) * 1e3,
        ),
        figure(
            "memory.small_call_added_ms_p99",
            "small call: more than in process, 99 %",
            added(small, small_here, 0.99),
            "ms",
            baseline=percentile(small_here, 0.99) * 1e3,
        ),
        figure(
            "memory.image_call_added_ms",
            "call with a 640x480 RGB image: more than in process, median",
            added(sent, sent_here, 0.5),
            "ms",
            goal="<= 1.5",
            baseline=percentile(sent_here, 0.5) * 1e3,
        ),
        figure(
            "memory.image_call_added_ms_p99",
            "call with a 640x480 RGB image: more than in process, 99 %",
            added(sent, sent_here, 0.99),
            "ms",
            baseline=percentile(sent_here, 0.99) * 1e3,
        ),
        figure("memory.image_echo_ms", "640x480 RGB image there and back, median", percentile(both, 0.5) * 1e3, "ms"),
        figure("memory.stream_item_us", "item of a stream, median", percentile(streamed, 0.5) * 1e3, "us"),
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
    count = 400 if quick else 4000
    with fresh_pool() as pool:
        lease = pool.acquire(spec("toy"))
        lease.call("echo")
        worker = memory(pool.snapshot()[0].pid)
        result = bookkeeping(count * 5) + calls(lease, count)
        lease.release()
        result += lives(pool, 3 if quick else 12)
    return [
        *result,
        figure("memory.worker_uss_mb", "worker with an empty engine, private memory", worker.uss / _MB, "MB"),
    ]


if __name__ == "__main__":
    sys.exit(main(figures, "residency"))
