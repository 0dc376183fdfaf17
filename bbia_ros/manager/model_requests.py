"""Requests about models, which the manager passes on to the nodes that hold them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from bbia_ros.manager.remote import RemoteNode
from bbia_ros.manager.tally import unload_order
from bbia_ros.manager.waits import unless_abandoned
from bbia_ros.srv import FreeMemory, ModelCommand, UseModel

ANSWER_S = 1.5
"""How long one node may take to unload or reset a model; a pool that asks for memory waits 2 s in all."""

INACTIVE = "the manager is not active"
SWAP_S = 180.0
"""How long a node may take to use another model [s]: end what is in flight (30), load it (60), or the old one again."""


class Host(Protocol):
    """What this needs of the manager's node."""

    active: bool

    def future(self) -> Any:
        """A future that coroutines may await."""

    def complete(self, future: Any, result: Any) -> None:
        """Sets its result unless it is done."""

    def run_coroutine(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Runs a coroutine in the executor's thread."""

    def get_logger(self) -> Any:
        """The node's log."""


class ModelRequests:
    """The services manager/reset_model, use_model and free_memory. Owns nothing: it looks and passes on.

    Args:
        host: the manager's node.
        residencies: last Residency message per node.
        remotes: the nodes by name; filled once the manager is active.
        chosen: told of a task and its model that somebody chose.
    """

    def __init__(
        self,
        host: Host,
        residencies: Mapping[str, Any],
        remotes: Mapping[str, RemoteNode],
        chosen: Callable[[str], None] = lambda task: None,
    ) -> None:
        self._host, self._residencies, self._remotes, self._chosen = host, residencies, remotes, chosen

    def reset(self, request: ModelCommand.Request, response: ModelCommand.Response) -> Any:
        """Lets a model that has FAILED load again."""
        found = holder(request.name, self._residencies, self._remotes) if self._host.active else INACTIVE
        if isinstance(found, str):
            return ModelCommand.Response(message=found)
        return self._answer_with(found.command_model("reset", request.name, ANSWER_S))

    def use(self, request: UseModel.Request, response: UseModel.Response) -> Any:
        """Has a task use another of its models."""
        found = task_holder(request.task, self._residencies, self._remotes) if self._host.active else INACTIVE
        if isinstance(found, str):
            return UseModel.Response(message=found)
        self._chosen(request.task)
        return self._answer_with(found.use_model(request.task, request.model, SWAP_S))

    def free(self, request: FreeMemory.Request, response: FreeMemory.Response) -> Any:
        """Has idle models unloaded for a process that needs the room."""
        if not self._host.active:
            return FreeMemory.Response(message=INACTIVE)
        return self._answer_with(free(request.needed_bytes, request.requester, self._residencies, self._remotes))

    def _answer_with(self, work: Coroutine[Any, Any, Any]) -> Any:
        answer = self._host.future()

        async def run() -> None:
            result = await work
            self._host.get_logger().info(result.message)
            self._host.complete(answer, result)

        self._host.run_coroutine(unless_abandoned(run()))
        return answer


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
