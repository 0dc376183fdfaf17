"""Adds up what the nodes report about memory: each process and each worker counts once. No ROS in here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ProcessRow:
    """One process of the stack; `pss_bytes` is its proportional set size."""

    name: str
    pid: int
    pss_bytes: int


@dataclass(frozen=True)
class Tally:
    """Processes, models and totals of the stack.

    Attributes:
        processes: of the composition first, then the workers; each pid once.
        models: the ModelStatus messages, each model of each worker once.
        workers_bytes: PSS of all workers.
        total_pss_bytes: PSS of everything.
    """

    processes: list[ProcessRow] = field(default_factory=list)
    models: list[Any] = field(default_factory=list)
    workers_bytes: int = 0
    total_pss_bytes: int = 0


def tally(residencies: Iterable[Any]) -> Tally:
    """The sum over the nodes' Residency messages.

    Two nodes of one process report the same process, two holders of one model the same model, and models that share a
    worker the same worker: by pid each of them counts once.
    """
    processes: dict[int, ProcessRow] = {}
    models: dict[tuple[int, str], Any] = {}
    workers: dict[int, tuple[list[str], int]] = {}
    for residency in residencies:
        if residency.pid:
            processes[residency.pid] = ProcessRow(residency.process, residency.pid, int(residency.pss_bytes))
        for model in residency.models:
            known = models.get((residency.pid, model.name))
            if known is None or (known.state == "ABSENT" and model.state != "ABSENT"):
                models[residency.pid, model.name] = model
    for model in models.values():
        if model.pid and model.pid not in processes:
            names, pss = workers.get(model.pid, ([], 0))
            workers[model.pid] = ([*names, model.name], max(pss, int(model.pss_bytes)))
    rows = [ProcessRow(" + ".join(sorted(names)), pid, pss) for pid, (names, pss) in workers.items()]
    workers_bytes = sum(row.pss_bytes for row in rows)
    ordered = [*sorted(processes.values(), key=lambda row: row.name), *sorted(rows, key=lambda row: row.name)]
    return Tally(ordered, list(models.values()), workers_bytes, sum(row.pss_bytes for row in ordered))


def unload_order(residencies: Mapping[str, Any], requester: str) -> list[tuple[str, str]]:
    """(node, model) of every idle model in other processes than the requester's, least recently used first.

    The requester's own pool has given up what it could before it asked. A model that was loaded and not used yet is
    about to be, and goes last.
    """
    own = {report.pid for report in residencies.values() if any(m.name == requester for m in report.models)}
    idle: dict[tuple[int, str], tuple[float, str, str]] = {}
    for node, report in residencies.items():
        for model in report.models:
            if model.state == "IDLE" and report.pid not in own:
                used = model.last_used.sec + model.last_used.nanosec * 1e-9
                idle.setdefault((report.pid, model.name), (used or float("inf"), node, model.name))
    return [(node, name) for _, node, name in sorted(idle.values())]
