"""Ears and hands on the graph of a stack: hears topics, calls the services and actions a visitor would."""

from __future__ import annotations

import importlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, MutableSequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Protocol

import rclpy
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions

from bbia_ros.ros import qos
from bbia_ros.ros.process import make_executor
from bbia_ros.stage.topics import Topic


@dataclass(frozen=True)
class Heard:
    """A message and when it came [ns, ROS time]; `number` counts what was heard, over all topics."""

    stamp_ns: int
    message: Any
    number: int = 0


class Recorder(Protocol):
    """Takes everything that is heard, as it came."""

    def put(self, topic: str, stamp_ns: int, data: bytes) -> None:
        """One message: absolute topic, ROS time [ns], CDR."""


class Stage:
    """Observes a running stack.

    Owns: a ROS context, a node `stage`, its thread, and the messages of the run.

    Attributes:
        history: topic name -> what was heard, in order, of the topics that are kept.
    """

    def __init__(
        self,
        namespace: str,
        topics: Iterable[Topic],
        *,
        keep: int | None = None,
        on_message: Callable[[str, Any], None] = lambda topic, message: None,
    ) -> None:
        """Begins to listen.

        Args:
            namespace: of the stack.
            topics: to listen to.
            keep: how many messages of each topic are kept; None: all, for a run that lasts minutes.
            on_message: told of each message of a kept topic, from the stage's thread.
        """
        self.namespace = "/" + namespace.strip("/")
        topics = tuple(topics)
        self.history: dict[str, MutableSequence[Heard]] = {
            topic.name: [] if keep is None else deque(maxlen=keep) for topic in topics if topic.kept
        }
        self._on_message = on_message
        self._number = 0
        self._bag: Recorder | None = None
        self._changed = threading.Condition()
        self._context = Context()
        rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = Node("stage", namespace=self.namespace, context=self._context)
        for topic in topics:
            self._node.create_subscription(
                _message_type(topic.kind), topic.name, self._listener(topic), getattr(qos, topic.profile), raw=True
            )
        self._clients: dict[str, Any] = {}
        self._executor = make_executor(self._context)
        self._executor.add_node(self._node)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._spin, name="stage", daemon=True)
        self._thread.start()

    def record(self, bag: Recorder) -> None:
        """From now on everything goes into the bag too."""
        self._bag = bag

    def absolute(self, topic: Topic) -> str:
        """Name of the topic on the graph."""
        return topic.name if topic.name.startswith("/") else f"{self.namespace}/{topic.name}"

    def now_ns(self) -> int:
        """ROS time [ns]."""
        return int(self._node.get_clock().now().nanoseconds)

    def last(self, topic: str) -> Any:
        """The newest message of a topic, or None."""
        with self._changed:
            heard = self.history[topic]
            return heard[-1].message if heard else None

    def since(self, topic: str, stamp_ns: int) -> list[Any]:
        """Messages of a topic that came at or after a time."""
        with self._changed:
            return [heard.message for heard in self.history[topic] if heard.stamp_ns >= stamp_ns]

    def wait(self, topic: str, condition: Callable[[Any], bool], timeout_s: float, since_ns: int = 0) -> Any | None:
        """The first message at or after `since_ns` that meets the condition; None when none came in time."""
        deadline, seen = time.monotonic() + timeout_s, 0
        with self._changed:
            while True:
                for item in self._newer(topic, seen):
                    if item.stamp_ns >= since_ns and condition(item.message):
                        return item.message
                seen = self._number
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)

    def _newer(self, topic: str, number: int) -> list[Heard]:
        newest_first = takewhile(lambda item: item.number > number, reversed(self.history[topic]))
        return list(newest_first)[::-1]

    def call(self, kind: type[Any], name: str, request: Any, timeout_s: float = 10.0) -> Any | None:
        """Calls a service of the stack; None when it is not there or does not answer."""
        client = self._clients.get(name) or self._node.create_client(kind, name)
        self._clients[name] = client
        if not client.wait_for_service(timeout_sec=timeout_s):
            return None
        return _outcome(client.call_async(request), timeout_s)

    def act(self, kind: type[Any], name: str, goal: Any, timeout_s: float = 60.0) -> Any | None:
        """Sends a goal and waits for its result; None when there is no server or no result in time."""
        client = self._clients.get(name) or ActionClient(self._node, kind, name)
        self._clients[name] = client
        if not client.wait_for_server(timeout_sec=10.0):
            return None
        handle = _outcome(client.send_goal_async(goal), 10.0)
        if handle is None or not handle.accepted:
            return None
        answer = _outcome(handle.get_result_async(), timeout_s)
        return None if answer is None else answer.result

    def close(self) -> None:
        """Leaves the graph."""
        self._stopping.set()
        self._thread.join(5.0)
        for client in self._clients.values():
            client.destroy()
        self._executor.remove_node(self._node)
        self._node.destroy_node()
        self._executor.shutdown()
        rclpy.shutdown(context=self._context)

    def _spin(self) -> None:
        while not self._stopping.is_set():
            self._executor.spin_once(timeout_sec=0.1)

    def _listener(self, topic: Topic) -> Callable[[bytes], None]:
        kind, name = _message_type(topic.kind), self.absolute(topic)

        def hear(data: bytes) -> None:
            stamp = self.now_ns()
            if self._bag is not None and topic.recorded:
                self._bag.put(name, stamp, data)
            if topic.kept:
                message = deserialize_message(data, kind)
                with self._changed:
                    self._number += 1
                    self.history[topic.name].append(Heard(stamp, message, self._number))
                    self._changed.notify_all()
                self._on_message(topic.name, message)

        return hear


def _message_type(kind: str) -> type[Any]:
    package, _, name = kind.split("/")
    kind_type: type[Any] = getattr(importlib.import_module(f"{package}.msg"), name)
    return kind_type


def _outcome(future: Any, timeout_s: float) -> Any | None:
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    return future.result() if done.wait(timeout_s) else None
