"""SIGKILL of workers in use: how soon the caller is told, and how soon the model is back in service.

Each model runs as its node describes it. Its worker is stopped (SIGSTOP) so that a call is surely in flight, then
killed. The caller is told when its call raises; back in service is the answer to the next call, made at once, with the
pool's wait before a restart and the load. What the whole stack does is in benchmarks/deaths_in_stack.py.

Run with `bbia bench memory`, or alone: `python -m benchmarks.deaths [--quick]`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bbia_ros.domain import use_private_graph
from bbia_ros.residency import Lease, Measurements, ModelSpec, ModelState, Pool, WorkerDied
from benchmarks.dialogue import MESSAGES
from benchmarks.harness import Figure, figure, main
from benchmarks.specs import TASKS, default_specs

TOLD_S = 0.1
BACK_S = 3.0
CALL_S = 30.0
FOCAL = (300.0, 300.0, 160.0, 120.0)


@dataclass(frozen=True)
class Death:
    """What a kill led to.

    Attributes:
        told_s: from SIGKILL to the caller's error [s].
        back_s: from SIGKILL to the answer of the next call [s].
    """

    told_s: float
    back_s: float


def figures(quick: bool) -> list[Figure]:
    """Kills the worker of each model; `quick` once instead of three times."""
    use_private_graph()
    specs = default_specs()
    deaths: dict[str, list[Death]] = {}
    with Pool(measurements=Measurements("")) as pool:
        for task in TASKS:
            lease = pool.acquire(specs[task])
            # Three failures in a row would be final, but each is followed by a success.
            deaths[task] = [kill(pool, lease, work(task)) for _ in range(1 if quick else 3)]
            lease.release()
    told = {task: max(death.told_s for death in found) for task, found in deaths.items()}
    back = {task: max(death.back_s for death in found) for task, found in deaths.items()}
    return [
        figure("memory.death_told_ms", "SIGKILL of a worker in use: caller told, slowest of all models",
               max(told.values()) * 1e3, "ms", goal=f"<= {TOLD_S * 1e3:g}", note=each(told, 1e3)),
        figure("memory.death_back_s", "SIGKILL of a worker in use: next call answered, slowest of all models",
               max(back.values()), "s", goal=f"<= {BACK_S:g}", note=each(back, 1.0)),
    ]  # fmt: skip


def each(times: dict[str, float], factor: float) -> str:
    """The time of each task."""
    return ", ".join(f"{task} {value * factor:.2g}" for task, value in times.items())


def work(task: str) -> Callable[[Lease], Any]:
    """A call that a node makes of such a model."""
    image = np.zeros((240, 320, 3), np.uint8)
    silence = np.zeros(16_000, np.int16)
    calls: dict[str, Callable[[Lease], Any]] = {
        "objects": lambda lease: lease.call("detect", image, timeout_s=CALL_S),
        "faces": lambda lease: lease.call("faces", image, FOCAL, timeout_s=CALL_S),
        "vad": lambda lease: lease.call("probabilities", silence[:512], timeout_s=CALL_S),
        "stt": lambda lease: lease.call("transcribe", silence, timeout_s=CALL_S),
        "tts": lambda lease: lease.call("speak", "Good night.", timeout_s=CALL_S),
        "chat": lambda lease: list(lease.stream("chat", MESSAGES, max_tokens=4, timeout_s=CALL_S)),
        "text_emotion": lambda lease: lease.call("read", "I am so happy.", timeout_s=CALL_S),
    }
    return calls[task]


def kill(pool: Pool, lease: Lease, call: Callable[[Lease], Any]) -> Death:
    """Kills the model's worker while it has a call in flight.

    Raises:
        RuntimeError: the call did not fail with WorkerDied.
    """
    call(lease)
    pid = _pid(pool, lease.spec)
    os.kill(pid, signal.SIGSTOP)
    told: list[float] = []

    def caller() -> None:
        try:
            call(lease)
        except WorkerDied:
            told.append(time.perf_counter())

    thread = threading.Thread(target=caller)
    thread.start()
    while not any(model.name == lease.spec.name and model.state is ModelState.BUSY for model in pool.snapshot()):
        time.sleep(0.001)
    time.sleep(0.02)  # the request is on its way
    killed = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    thread.join(CALL_S + 5.0)
    if not told:
        raise RuntimeError(f"the caller of {lease.spec.name} was not told that its worker died")
    call(lease)
    return Death(told[0] - killed, time.perf_counter() - killed)


def _pid(pool: Pool, spec: ModelSpec) -> int:
    return next(model.pid for model in pool.snapshot() if model.name == spec.name)


if __name__ == "__main__":
    sys.exit(main(figures, "memory"))
