"""A fake worker whose models can be told apart and stream, for tests of slots."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from fake_worker import FakeFactory, FakeWorker

from bbia_ros.residency import EngineError, ModelSpec, Variant, WorkerDied
from bbia_ros.residency.call import Call


def variant(name: str, mb: float, **more: Any) -> Variant:
    return Variant(name, ModelSpec(f"chat:{name}", "chat", "f:F", {"mb": mb}, declared_mb=mb, **more))


class SlotWorker(FakeWorker):
    """Also serves "who", which answers with the model's name, and the stream "count", which yields it three times."""

    def load(self, call: Call, model: str, engine: str, arguments: Mapping[str, Any], *limits: Any):
        self.factory.started.append(model)
        if gate := self.factory.gates.get(model):
            call.wait(gate, 10)
        if model in self.factory.broken:
            raise EngineError(f"{model} is truncated", "OSError")
        return super().load(call, model, engine, arguments, *limits)

    def call(self, call: Call, model: str, method: str, args, kwargs, timeout_s: float):
        if method == "who":
            super().call(call, model, "echo", args, kwargs, timeout_s)
            return model
        return super().call(call, model, method, args, kwargs, timeout_s)

    def stream(self, call: Call, model: str, method: str, args, kwargs, timeout_s: float):
        assert model in self.models
        return Items(self, call, model)


class Items:
    def __init__(self, worker: SlotWorker, call: Call, model: str) -> None:
        self.worker, self.call, self.model, self.left = worker, call, model, 3
        call.waker = lambda: call.on_end and call.on_end()  # as a worker ends a stream that nobody reads

    def read(self, timeout_s: float) -> str:
        try:
            if self.left < 3 and self.worker.factory.hold_items is not None:
                self.call.wait(self.worker.factory.hold_items, timeout_s)
            self.call.check()
            if self.worker.dead:
                raise WorkerDied("the fake worker was killed")
            if self.left == 0:
                raise StopIteration
        except BaseException:
            if self.call.on_end is not None:
                self.call.on_end()
            raise
        self.left -= 1
        return self.model


class SlotFactory(FakeFactory):
    """Makes such workers.

    Attributes:
        gates: Loads of these models wait for their event.
        broken: Loads of these models fail.
        started: Models whose loads have begun.
        hold_items: All items but the first wait for it.
    """

    def __init__(self, budget: int | None = None) -> None:
        super().__init__(budget)
        self.gates: dict[str, threading.Event] = {}
        self.broken: set[str] = set()
        self.started: list[str] = []
        self.hold_items: threading.Event | None = None

    def __call__(self, spec: ModelSpec) -> SlotWorker:
        worker = SlotWorker(self, next(self._pids))
        self.workers.append(worker)
        return worker
