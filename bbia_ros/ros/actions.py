"""Action servers of a node: goals are driven as coroutines, refused while it is not active, ended with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from rclpy.action import CancelResponse, GoalResponse

from bbia_ros.ros.coroutines import DrivenActionServer

if TYPE_CHECKING:
    from bbia_ros.ros.lifecycle import BbiaNode


class Goals:
    """Owns the goals in flight of one node. Does not own the servers, which the node destroys."""

    def __init__(self, node: BbiaNode[Any]) -> None:
        self._node = node
        self._running: dict[int, tuple[Any, Callable[[Any], None] | None]] = {}  # by id: a goal handle has no hash

    def serve(
        self,
        kind: type[Any],
        name: str,
        execute: Callable[[Any], Awaitable[Any]],
        accept: Callable[[Any], str | None] | None,
        cancel: Callable[[Any], None] | None,
    ) -> Callable[[], None]:
        """Makes an action server, see `BbiaNode.make_action`; returns the function that destroys it."""

        async def run(handle: Any) -> Any:
            node = self._node
            reason = "the node is not active" if not node.active else accept(handle.request) if accept else None
            result = kind.Result()
            if reason is not None:
                handle.abort()
                return refuse(result, f"{name}: {reason}")
            self._running[id(handle)] = (handle, cancel)
            try:
                result = await execute(handle)
            except Exception as error:
                node.report_failure(name, error)
                refuse(result, f"{name} failed: {error}")
            finally:
                self._running.pop(id(handle), None)
            if handle.is_active:
                if handle.is_cancel_requested:
                    handle.canceled()
                elif result.ok:
                    handle.succeed()
                else:
                    handle.abort()
            return result

        def on_cancel(handle: Any) -> CancelResponse:
            if cancel is not None:
                cancel(handle)
            return CancelResponse.ACCEPT

        server = DrivenActionServer(
            self._node, kind, name, later=self._node.later, execute_callback=run, cancel_callback=on_cancel,
            goal_callback=lambda _: GoalResponse.ACCEPT, result_timeout=60,
        )  # fmt: skip
        destroy: Callable[[], None] = server.destroy
        return destroy

    def cancel(self) -> None:
        """Tells whoever executes a goal to end it."""
        for handle, cancel in list(self._running.values()):
            if cancel is not None:
                self._node.guarded("cancel", cancel)(handle)


def refuse(answer: Any, message: str) -> Any:
    """The answer of a service or action, with its ok or success and its message set where it has them."""
    for name in ("ok", "success"):
        if hasattr(answer, name):
            setattr(answer, name, False)
    if hasattr(answer, "message"):
        answer.message = message
    return answer
