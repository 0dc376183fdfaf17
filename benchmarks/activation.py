"""From the activation of a node to its models ready, with the files in the page cache; and to chat's first token.

The nodes are real and run in this process, their models in workers as always. The baseline is a bare process that
imports the same engine's class and makes the same object, niced like the worker.

Run with `bbia bench memory`, or alone: `python -m benchmarks.activation [--quick]`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from statistics import median
from typing import Any

from bbia_ros.domain import use_private_graph
from bbia_ros.residency import Measurements, ModelSpec, ModelState, Pool
from benchmarks.dialogue import MESSAGES
from benchmarks.harness import Figure, figure, main
from benchmarks.specs import default_specs, node_factories

ALONE: dict[str, tuple[str, dict[str, Any]]] = {
    "objects": ("perception", {"objects.load": "on_activate"}),
    "faces": ("perception", {"faces.load": "on_activate"}),
    "stt": ("speech", {"stt.load": "on_activate"}),
    "tts": ("speech", {"tts.load": "on_activate"}),
    "chat": ("dialogue", {"chat.load": "on_activate", "memory.enabled": False}),
}
"""Task -> the node that has it and the parameters with which activation loads this model alone."""
WORDS = {
    "objects": "detector",
    "faces": "faces",
    "stt": "speech to text",
    "tts": "text to speech",
    "chat": "chat",
}
READY_S = 60.0
BARE = """
import importlib, os, sys, time
spec = eval(sys.stdin.readline())
os.nice(spec["nice"])
module, _, name = spec["engine"].partition(":")
engine = getattr(importlib.import_module(module), name)(**spec["arguments"])
first = next(iter(engine.chat(spec["messages"], max_tokens=4))) if spec["messages"] else ""
print("ready", flush=True)
os._exit(0)
"""


def figures(quick: bool) -> list[Figure]:
    """Each model alone, all together, and chat's first token; `quick` measures each once."""
    use_private_graph()
    rounds = 1 if quick else 3
    specs = default_specs()
    found = [*(alone(task, specs[task], rounds) for task in ALONE), together(max(1, rounds // 2))]
    return [*found, first_token(specs["chat"], rounds)]


def alone(task: str, spec: ModelSpec, rounds: int) -> Figure:
    """One model with no other."""
    node, parameters = ALONE[task]
    activate_and_wait({node: parameters}, [task])  # warms the page cache
    times = [activate_and_wait({node: parameters}, [task]) for _ in range(rounds)]
    bare = median(bare_process(spec) for _ in range(rounds))
    return figure(
        f"memory.activation_{task}_s", f"activation to ready, page cache warm: {WORDS[task]}", median(times), "s",
        goal="<= 1.5", baseline=bare, note=_note(times, "a bare process that makes the same engine"),
    )  # fmt: skip


def together(rounds: int) -> Figure:
    """All five at once."""
    wanted: dict[str, dict[str, Any]] = {}
    for node, parameters in ALONE.values():
        wanted.setdefault(node, {}).update(parameters)
    times = [activate_and_wait(wanted, list(ALONE)) for _ in range(rounds)]
    return figure(
        "memory.activation_all_s", "activation to ready: these five models at once", median(times), "s",
        goal="<= 5", note=_note(times),
    )  # fmt: skip


def activate_and_wait(nodes: dict[str, dict[str, Any]], tasks: Iterable[str]) -> float:
    """Seconds from the first node's activation until all these models can be called.

    Raises:
        RuntimeError: a node does not start or a model does not load; the message says why.
    """
    from bbia_ros.ros.testing import NodeRunner

    factories = node_factories()
    with ExitStack() as opened:
        runners = [
            opened.enter_context(NodeRunner(factories[node], parameters=parameters))
            for node, parameters in nodes.items()
        ]
        for runner in runners:
            if not runner.configure():
                raise RuntimeError("; ".join(runner.node.faults()))
        begun = time.perf_counter()
        for runner in runners:
            if not runner.activate():
                raise RuntimeError("; ".join(runner.node.faults()))
        missing = set(tasks)
        while missing:
            time.sleep(0.002)  # a snapshot takes microseconds
            models = [model for runner in runners for model in runner.process.pool.snapshot()]
            missing = set(tasks) - {m.task for m in models if m.state in (ModelState.IDLE, ModelState.BUSY)}
            errors = [model.last_error for model in models if model.task in missing and model.last_error]
            if errors or time.perf_counter() - begun > READY_S:
                raise RuntimeError(f"{', '.join(sorted(missing))} did not load: {'; '.join(errors) or 'too slow'}")
        return time.perf_counter() - begun


def first_token(spec: ModelSpec, rounds: int) -> Figure:
    """Chat, from nothing in memory."""
    times = []
    with Pool(measurements=Measurements("")) as pool:
        for _ in range(rounds):
            lease = pool.acquire(spec)
            begun = time.perf_counter()
            stream = lease.stream("chat", MESSAGES, max_tokens=4)
            next(stream)
            times.append(time.perf_counter() - begun)
            stream.cancel()
            lease.release()
    bare = median(bare_process(spec, MESSAGES) for _ in range(rounds))
    return figure(
        "memory.first_token_s", "start of the worker to the first token of chat", median(times), "s", goal="<= 1",
        baseline=bare, note=_note(times, "a bare process"),
    )  # fmt: skip


def bare_process(spec: ModelSpec, messages: Any = None) -> float:
    """Seconds until a bare process has made the engine, and its first token where there are messages."""
    request = {"engine": spec.engine, "arguments": dict(spec.arguments), "nice": spec.nice, "messages": messages}
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", BARE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        print(repr(request), file=process.stdin, flush=True)
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"the bare process with {spec.engine} ended")
        return time.perf_counter() - begun


def _note(times: list[float], baseline: str = "") -> str:
    words = f"median of {len(times)}, longest {max(times):.2f} s"
    return f"{words}; baseline: {baseline}" if baseline else words


if __name__ == "__main__":
    sys.exit(main(figures, "memory"))
