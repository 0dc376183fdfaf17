"""Requests about models, which the manager passes on to the nodes that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bbia_ros.manager.remote import RemoteNode
from bbia_ros.manager.tally import unload_order
from bbia_ros.srv import FreeMemory, ModelCommand, UseModel

ANSWER_S = 1.5
"""How long one node may take to unload or reset a model; a pool that asks for memory waits 2 s in all."""

SWAP_S = 180.0
"""How long a node may take to use another model [s]: end what is in flight (30), load it (60), or the old one again."""


def holder(name: str, residencies: Mapping[str, Any], remotes: Mapping[str, RemoteNode]) -> RemoteNode | str:
    """The node that holds a model, or a sentence with the models there are."""
    for node, report in residencies.items():
        if node in remotes and any(model.name == name for model in report.models):
            return remotes[node]
    known = sorted({model.name for report in residencies.values() for model in report.models})
    return f"unknown model '{name}'; known: {', '.join(known) or 'none yet'}"


def task_holder(task: str, residencies: Mapping[str, Any], remotes: Mapping[str, RemoteNode]) -> RemoteNode | str:
    """The node whose models do a task, or a sentence with the tasks there are."""
    for node, report in residencies.items():
        if node in remotes and any(model.task == task for model in report.models):
            return remotes[node]
    known = sorted({model.task for report in residencies.values() for model in report.models})
    return f"unknown task '{task}'; tasks with models now: {', '.join(known) or 'none, activate a node first'}"


async def reset(remote: RemoteNode, name: str) -> ModelCommand.Response:
    """Lets a model that has FAILED load again."""
    return await remote.command_model("reset", name, ANSWER_S)


async def use(remote: RemoteNode, task: str, model: str) -> UseModel.Response:
    """Has a node use another of the models for a task."""
    return await remote.use_model(task, model, SWAP_S)


async def free(
    needed_bytes: int, requester: str, residencies: Mapping[str, Any], remotes: Mapping[str, RemoteNode]
) -> FreeMemory.Response:
    """Has idle models of other processes unloaded, least recently used first, until so much is free."""
    freed, gone = 0, []
    for node, model in unload_order(residencies, requester):
        if freed >= needed_bytes:
            break
        if node in remotes:
            answer = await remotes[node].command_model("unload", model, ANSWER_S)
            if answer.ok:
                freed += answer.released_bytes
                gone.append(model)
    what = f"unloaded {', '.join(gone)} for {requester}" if gone else f"no idle model elsewhere for {requester}"
    message = f"{what}: {freed / 1e6:.0f} of {needed_bytes / 1e6:.0f} MB"
    return FreeMemory.Response(ok=freed >= needed_bytes, freed_bytes=freed, message=message)
