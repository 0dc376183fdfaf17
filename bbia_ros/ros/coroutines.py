"""Coroutines that cost nothing while they wait.

rclpy resumes a waiting coroutine on every turn of the executor, so that one pending action keeps a core busy. Here a
coroutine is resumed once, by the future it waits for.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any

from rclpy.action import ActionServer
from rclpy.service import Service
from rclpy.task import Future

POLL_S = 0.02
"""How often a coroutine is resumed that awaits a plain rclpy future, which does not say who waits for it [s]."""


class NodeFuture(Future):
    """A future of a node. `drive` resumes the coroutine that awaits it when it is done; rclpy's own tasks poll it."""

    def __await__(self) -> Generator[NodeFuture, None, Any]:
        while not self.done():
            yield self
        return self.result()


def drive(
    coroutine: Coroutine[Any, Any, Any],
    later: Callable[[float, Callable[[], None]], None],
    finished: Callable[[Any, BaseException | None], None] = lambda result, error: None,
) -> None:
    """Runs a coroutine in the executor's thread, from one awaited future to the next.

    Args:
        coroutine: awaits NodeFutures, or plain rclpy futures (which are polled).
        later: runs a function in the executor's thread after so many seconds.
        finished: told of the coroutine's result, or of the exception it raised.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration as end:
        finished(end.value, None)
    except Exception as error:
        finished(None, error)
    else:
        if isinstance(awaited, NodeFuture):
            awaited.add_done_callback(lambda _: drive(coroutine, later, finished))
        else:
            later(POLL_S, lambda: drive(coroutine, later, finished))


class DrivenActionServer(ActionServer):
    """An action server whose goals are driven, not polled."""

    def __init__(
        self, node: Any, *args: Any, later: Callable[[float, Callable[[], None]], None], **kwargs: Any
    ) -> None:
        self._later = later
        super().__init__(node, *args, **kwargs)

    def notify_execute(self, goal_handle: Any, execute_callback: Any) -> None:
        """Called by the goal handle when the goal starts."""
        execution = self._execute_goal(execute_callback or self._execute_callback, goal_handle)
        self._node.executor.create_task(lambda: drive(execution, self._later))


def answer_later(service: Service) -> None:
    """Lets the callback of a service return a future: the response goes out when its result is set."""
    send: Callable[[Any, Any], None] = service.send_response

    def respond(response: Any, header: Any) -> None:
        if isinstance(response, Future):
            response.add_done_callback(lambda future: send(future.result(), header))
        else:
            send(response, header)

    service.send_response = respond
