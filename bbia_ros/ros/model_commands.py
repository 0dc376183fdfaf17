"""Commands about the models of a node: unload, reset, use another one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from bbia_ros.residency import Swap
from bbia_ros.residency.errors import ResidencyError
from bbia_ros.ros.coroutines import answer_later
from bbia_ros.srv import ModelCommand, UseModel

if TYPE_CHECKING:
    from bbia_ros.ros.lifecycle import BbiaNode


class ModelCommands:
    """Owns the services <node>/{unload,reset,use}_model, which are there in every lifecycle state."""

    def __init__(self, node: BbiaNode[Any]) -> None:
        self._node = node
        commands: tuple[tuple[type[Any], str, Callable[[Any, Any], Any]], ...] = (
            (ModelCommand, "unload_model", self._unload),
            (ModelCommand, "reset_model", self._reset),
            (UseModel, "use_model", self._use),
        )
        name = node.get_name()
        self._services = [node.create_service(kind, f"{name}/{command}", answer) for kind, command, answer in commands]
        for service in self._services:
            answer_later(service)

    def close(self) -> None:
        """Ends the services."""
        for service in self._services:
            self._node.destroy_service(service)

    def _unload(self, request: ModelCommand.Request, response: ModelCommand.Response) -> Any:
        if not self._holds(request, response):
            return response
        if any(info.name == request.name and info.pinned for info in self._node.models.infos()):
            response.message = f"'{request.name}' is pinned: it goes when its node is deactivated"
            return response
        answer = self._node.future()

        def unload() -> None:
            try:
                record = self._node.process.pool.unload(request.name)
            except ResidencyError as error:
                response.message = str(error)
            else:
                response.ok = True
                response.message = str(record) if record else f"'{request.name}' was not loaded"
                response.released_bytes = int(record.returned_bytes if record else 0)
            self._node.complete(answer, response)

        # Ending a worker takes a moment that the executor does not have.
        threading.Thread(target=unload, name="unload", daemon=True).start()
        return answer

    def _reset(self, request: ModelCommand.Request, response: ModelCommand.Response) -> ModelCommand.Response:
        if self._holds(request, response):
            try:
                self._node.process.pool.reset(request.name)
            except ResidencyError as error:
                response.message = str(error)
            else:
                response.ok, response.message = True, f"'{request.name}' may load again"
        return response

    def _use(self, request: UseModel.Request, response: UseModel.Response) -> Any:
        answer = self._node.future()

        def tell(ended: Future[Swap]) -> None:
            error = ended.exception()
            if error is not None:
                response.message = str(error)
            else:
                swap = ended.result()
                response.ok, response.message = True, swap.message
                response.released_bytes, response.duration_s = swap.released_bytes, swap.duration_s
                self._node.get_logger().info(swap.message)
            self._node.complete(answer, response)

        self._node.models.use(request.task, request.model).add_done_callback(tell)
        return answer

    def _holds(self, request: ModelCommand.Request, response: ModelCommand.Response) -> bool:
        if self._node.models.holds(request.name):
            return True
        names = ", ".join(self._node.models.known) or "none yet"
        response.message = f"{self._node.get_name()} holds no model '{request.name}'; its models: {names}"
        return False
