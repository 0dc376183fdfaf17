"""A worker without a process, and a clock that stands still: for fast tests of the pool's decisions."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from typing import Any

from bbia_ros.residency import EngineError, ModelSpec, ResidencyError, WorkerDied
from bbia_ros.residency.call import Call
from bbia_ros.residency.turns import Turns

MB = 1_000_000


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeWorker:
    """Serves "echo", "hold" (until `FakeFactory.let_go` or a cancel), "raise", "die" and "grow" (MB).

    Engine arguments: mb when loaded; load_s on the fake clock; reaches: MB, one after the other, while it loads.
    """

    death_fd = -1

    def __init__(self, factory: FakeFactory, pid: int) -> None:
        self.factory = factory
        self.inline = factory.inline and not factory.workers
        self.pid = pid
        self.dead = False
        self.ended = False
        self.blameless = False
        self.models: dict[str, int] = {}
        self.building = 0
        self.paused = False
        self.turns = Turns()

    def load(self, call: Call, model: str, engine: str, arguments: Mapping[str, Any], timeout_s: float, watch):
        if gate := self.factory.load_gate:
            call.wait(gate, 10)
        for mb in arguments.get("reaches", ()):
            self.building = int(mb * MB)
            try:
                watch()
            except ResidencyError as error:
                self.kill(str(error), blame=False)
                raise
            assert not self.paused
            self.factory.check()
        self.building = 0
        if self.factory.clock is not None:
            self.factory.clock.now += arguments.get("load_s", 0)
        if self.factory.failing_loads > 0:
            self.factory.failing_loads -= 1
            raise EngineError("the disk is gone", "OSError")
        size = int(arguments["mb"] * MB)
        self.models[model] = size
        self.factory.log.append(("load", model))
        self.factory.check()
        if self.factory.after_load:
            self.factory.after_load(self)
        return size, size + int(arguments.get("extra_mb", 0) * MB)

    def private_over(self, limit: int, exact: bool = False) -> int:
        if exact:
            self.factory.log.append(("exact", "+".join(self.models)))
        private = sum(self.models.values()) + self.building
        return private if private > limit else 0

    def pause(self) -> None:
        self.paused = True
        self.factory.log.append(("pause", ""))

    def resume(self) -> None:
        self.paused = False

    def unload(self, model: str, timeout_s: float = 30.0):
        if self.dead:
            raise WorkerDied("dead")
        if self.factory.unload_gate:
            self.factory.unload_gate.wait(10)
        before = sum(self.models.values())
        del self.models[model]
        self.factory.log.append(("unload", model))
        return before, before if self.inline else sum(self.models.values())

    def call(self, call: Call, model: str, method: str, args, kwargs, timeout_s: float):
        assert model in self.models, "called a model that is not loaded"
        assert not self.ended, "called a worker that was ended"
        if method == "hold":
            # As in a process: until the answer, a cancel or the death.
            released = threading.Event()
            self.factory.holding[args[0]] = (released, self)
            call.wait(released, 10)
            if self.dead:
                raise WorkerDied("the fake worker was killed")
            return args[0]
        if method == "grow":
            self.models[model] += int(args[0] * MB)
        if method == "raise":
            raise EngineError("no", "ValueError")
        if method == "die":
            self.dead = True
        if self.dead:
            raise WorkerDied("the fake worker was killed")
        return args[0] if args else None

    def stream(self, call: Call, model: str, method: str, args, kwargs, timeout_s: float):
        raise NotImplementedError

    def begin_end(self) -> None:
        self.ended = True

    def finish_end(self, deadline: float):
        held = sum(self.models.values())
        self.factory.log.extend(("end", name) for name in self.models)
        self.models.clear()
        self.dead = True
        return held, 0 if self.inline else held

    def kill(self, reason: str, blame: bool = True) -> None:
        self.dead = True
        self.blameless = not blame

    def bury(self) -> WorkerDied:
        self.dead = True
        self.factory.log.extend(("died", name) for name in self.models)
        self.models.clear()
        return WorkerDied("the fake worker was killed")


class FakeFactory:
    """Makes fake workers; knows what is loaded in all of them together."""

    def __init__(self, budget: int | None = None, clock: FakeClock | None = None) -> None:
        self.clock = clock
        self.inline = False
        """Whether the first worker is one in our own process, which gives nothing back."""
        self.workers: list[FakeWorker] = []
        self.log: list[tuple[str, str]] = []
        self.holding: dict[Any, tuple[threading.Event, FakeWorker]] = {}
        self.load_gate: threading.Event | None = None
        self.unload_gate: threading.Event | None = None
        self.after_load: Callable[[FakeWorker], object] | None = None
        self.failing_loads = 0
        self.budget = budget
        self._pids = itertools.count(1_000_001)

    def __call__(self, spec: ModelSpec) -> FakeWorker:
        worker = FakeWorker(self, next(self._pids))
        self.workers.append(worker)
        return worker

    @property
    def loaded(self) -> dict[str, int]:
        return {name: size for worker in self.workers for name, size in worker.models.items()}

    @property
    def bytes(self) -> int:
        return sum(self.loaded.values()) + sum(worker.building for worker in self.workers if not worker.dead)

    def check(self) -> None:
        if self.budget is not None:
            assert self.bytes <= self.budget, f"over the budget: {self.loaded}"

    def worker_of(self, model: str) -> FakeWorker:
        return next(worker for worker in self.workers if model in worker.models)

    def let_go(self, key: Any) -> None:
        self.holding.pop(key)[0].set()
