"""A manager and small nodes on a real ROS graph, for tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from bbia_ros.manager.node import ManagerNode
from bbia_ros.msg import StackStatus
from bbia_ros.ros import qos
from bbia_ros.ros.context import ProcessContext
from bbia_ros.ros.process import make_executor
from bbia_ros.ros.testing import FakePool, Inbox
from bbia_ros.srv import SetMode

Factory = Callable[[str, ProcessContext], Any]


class Spinner:
    """Spins one node in a thread of its own, as a process of its own would."""

    def __init__(self, node: Any, executor: Any) -> None:
        self.node, self._executor, self._stop = node, executor, threading.Event()
        executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.05)

    def run(self, function: Any) -> None:
        done = threading.Event()
        self._executor.create_task(lambda: (function(), done.set()))
        assert done.wait(10)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(20)
        self._executor.remove_node(self.node)
        self.node.destroy_node()
        self._executor.shutdown()


class Stage:
    """A manager, limbs and a client, each with an executor of its own, and what the manager publishes.

    They share one participant, with each other and with all stages before: Fast DDS loses a participant that takes
    the place of one which the same process had before, so that contexts in one process after the other do not find
    each other reliably.
    """

    def __init__(
        self,
        modes: Path,
        mode: str,
        limbs: Mapping[str, Factory],
        pool: Any = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Starts everything.

        Args:
            modes: file.
            mode: to enter first.
            limbs: what makes each node.
            pool: of the nodes' process; None: one without models.
            settings: parameters of the manager.
        """
        self.context = shared_context()
        settings = {"modes_file": str(modes), "mode": mode, "appear_timeout_s": 5.0, **(settings or {})}
        arguments = ["--ros-args", *(word for key, value in settings.items() for word in ("-p", f"{key}:={value}"))]
        pool = FakePool({}) if pool is None else pool
        self.process = ProcessContext(
            "test", pool=pool, ros_context=self.context, node_arguments={"manager": arguments}
        )
        self.runs: dict[str, Spinner] = {}
        for name, factory in limbs.items():
            self.add(name, factory)
        self.manager = Spinner(ManagerNode(self.process), make_executor(self.context))
        self.probe = Spinner(Node("probe", context=self.context), SingleThreadedExecutor(context=self.context))
        self.statuses = Inbox()
        self.probe.node.create_subscription(StackStatus, "manager/status", self.statuses.put, qos.STATE)

    def add(self, name: str, factory: Factory) -> Any:
        self.runs[name] = Spinner(factory(name, self.process), make_executor(self.context))
        return self.node(name)

    def call(self, kind: type[Any], service: str, request: Any, timeout_s: float = 30.0) -> Any:
        return self.begin(kind, service, request)(timeout_s)

    def begin(self, kind: type[Any], service: str, request: Any) -> Any:
        client = self.probe.node.create_client(kind, service)
        assert client.wait_for_service(10)
        future, done = client.call_async(request), threading.Event()
        future.add_done_callback(lambda _: done.set())

        def answer(timeout_s: float = 30.0) -> Any:
            assert done.wait(timeout_s), f"no answer from {service}"
            return future.result()

        return answer

    def node(self, name: str) -> Any:
        return self.runs[name].node

    def remove(self, name: str) -> None:
        self.runs.pop(name).close()

    def wait(self, condition: Any, timeout_s: float = 20.0) -> StackStatus:
        return self.statuses.wait(condition, timeout_s)

    def set_mode(self, mode: str) -> SetMode.Response:
        return self.call(SetMode, "manager/set_mode", SetMode.Request(mode=mode))

    def begin_mode(self, mode: str) -> Any:
        return self.begin(SetMode, "manager/set_mode", SetMode.Request(mode=mode))

    def close(self) -> None:
        for run in (self.manager, self.probe, *self.runs.values()):
            run.close()
        self.process.close()


def states(status: StackStatus) -> dict[str, str]:
    return {node.name: node.state for node in status.nodes}


def detail(status: StackStatus, name: str) -> str:
    return next(node.detail for node in status.nodes if node.name == name)


@cache
def shared_context() -> Context:
    context = Context()
    rclpy.init(args=["--ros-args", "-r", "__ns:=/bbia"], context=context)
    return context
