"""The manager as seen from other programs: the `bbia` command, the demonstration, your own scripts."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from bbia_ros.msg import Heartbeat, StackStatus
from bbia_ros.ros import qos
from bbia_ros.ros.footprint import leave_out_code_generator
from bbia_ros.ros.process import make_executor
from bbia_ros.srv import ManageNodes, ModelCommand, SetMode, UseModel

GRACE_S = 5.0
"""How much longer than the manager's own limit a caller waits for its answer [s]."""


class ManagerUnavailable(RuntimeError):
    """The manager is not there or does not answer; the message says how long it was waited for."""


class ManagerClient:
    """Talks to the manager of one stack. Every call may be made from any thread and ends in time.

    Owns an rclpy context, a node and the thread that spins it. With `node` it uses yours, which somebody must spin in
    another thread than the one that calls.

        with ManagerClient() as manager:
            manager.set_mode("watch")
    """

    def __init__(
        self,
        namespace: str = "bbia",
        *,
        domain_id: int | None = None,
        node: Node | None = None,
        on_status: Callable[[StackStatus], None] | None = None,
    ) -> None:
        """Begins to listen.

        Args:
            namespace: of the stack.
            domain_id: ROS domain; None: ROS_DOMAIN_ID.
            node: a node to use instead of one of its own.
            on_status: called with every status, from the spinning thread.
        """
        self._changed = threading.Condition()
        self._status: StackStatus | None = None
        self._fault = ""
        self._on_status = on_status
        self._stop = threading.Event()
        self._own = node is None
        leave_out_code_generator()
        if node is None:
            self._context = Context()
            rclpy.init(args=[], context=self._context, domain_id=domain_id,
                       signal_handler_options=SignalHandlerOptions.NO)  # fmt: skip
            node = Node(
                f"client_{os.getpid()}", context=self._context, namespace=f"/{namespace.strip('/')}",
                start_parameter_services=False, enable_rosout=False,
            )  # fmt: skip
            self._executor = make_executor(self._context)
            self._executor.add_node(node)
            self._thread = threading.Thread(target=self._spin, name="manager client", daemon=True)
        self._node = node
        self._subscriptions = [
            node.create_subscription(StackStatus, "manager/status", self._take_status, qos.STATE),
            node.create_subscription(Heartbeat, "manager/heartbeat", self._take_heartbeat, qos.heartbeat()),
        ]
        self._clients = {
            kind: node.create_client(kind, f"manager/{name}")
            for kind, name in (
                (SetMode, "set_mode"), (ManageNodes, "manage_nodes"), (ModelCommand, "reset_model"),
                (UseModel, "use_model"),
            )
        }  # fmt: skip
        if self._own:
            self._thread.start()

    def __enter__(self) -> ManagerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops listening; may be called twice."""
        if self._stop.is_set():
            return
        self._stop.set()
        if self._own:
            self._thread.join(5.0)
            self._executor.remove_node(self._node)
        for client in self._clients.values():
            self._node.destroy_client(client)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        if self._own:
            self._node.destroy_node()
            self._executor.shutdown()
            rclpy.shutdown(context=self._context)

    @property
    def status(self) -> StackStatus | None:
        """The newest status; None until the first has come."""
        return self._status

    @property
    def fault(self) -> str:
        """What the manager itself says is wrong with it, for instance with its configuration; empty: nothing."""
        return self._fault

    def wait_a_moment(self, seconds: float) -> None:
        """Returns when something was heard of the manager, at the latest after `seconds`."""
        with self._changed:
            self._changed.wait(seconds)

    def wait_for_status(
        self, condition: Callable[[StackStatus], bool] = lambda status: True, timeout_s: float = 10.0
    ) -> StackStatus:
        """The first status, from the present one on, that meets the condition.

        Raises:
            ManagerUnavailable: none did in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._status is not None and condition(self._status), timeout_s):
                what = "no manager was heard of" if self._status is None else "the stack did not get there"
                raise ManagerUnavailable(f"{what} within {timeout_s:g} s")
            assert self._status is not None
            return self._status

    def wait_for_mode(self, mode: str, timeout_s: float = 60.0) -> StackStatus:
        """The status in which `mode` is in effect and no other is being entered.

        Raises:
            ManagerUnavailable: it was not reached in time.
        """
        return self.wait_for_status(lambda status: status.mode == status.target_mode == mode, timeout_s)

    def set_mode(self, mode: str, timeout_s: float = 120.0) -> tuple[bool, str]:
        """Brings the stack into a mode; (ok, message) when every node is in its state, or why it is not.

        Raises:
            ManagerUnavailable: no answer.
        """
        answer = self._call(SetMode, SetMode.Request(mode=mode), timeout_s)
        return answer.ok, answer.message

    def manage_nodes(
        self,
        activate: Sequence[str] = (),
        deactivate: Sequence[str] = (),
        *,
        strict: bool = False,
        timeout_s: float = 120.0,
    ) -> tuple[bool, str]:
        """Activates and deactivates single nodes, dependencies included; (ok, message).

        Raises:
            ManagerUnavailable: no answer.
        """
        request = ManageNodes.Request(
            activate=list(activate), deactivate=list(deactivate), strict=strict, timeout_s=float(timeout_s)
        )
        answer = self._call(ManageNodes, request, timeout_s)
        return answer.ok, answer.message

    def reset_model(self, name: str, timeout_s: float = 10.0) -> tuple[bool, str]:
        """Lets a model that has FAILED load again; (ok, message).

        Raises:
            ManagerUnavailable: no answer.
        """
        answer = self._call(ModelCommand, ModelCommand.Request(name=name), timeout_s)
        return answer.ok, answer.message

    def use_model(self, task: str, model: str = "", timeout_s: float = 200.0) -> UseModel.Response:
        """Has a task use another of its models while its node stays active; the answer says what was done, or why not.

        Args:
            task: chat, stt, tts, objects, ...
            model: one of the task's variants; empty: the best.
            timeout_s: for loading it, and for what is in flight to finish [s].

        Raises:
            ManagerUnavailable: no answer.
        """
        return self._call(UseModel, UseModel.Request(task=task, model=model), timeout_s)

    def _call(self, kind: type[Any], request: Any, timeout_s: float) -> Any:
        client, deadline = self._clients[kind], time.monotonic() + timeout_s + GRACE_S
        while not client.service_is_ready():
            # Discovery has no event to wait for.
            if time.monotonic() > deadline - timeout_s or self._stop.wait(0.02):
                raise ManagerUnavailable(f"no manager was found within {GRACE_S:g} s; is the stack up?")
        done, future = threading.Event(), client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        if not done.wait(max(0.0, deadline - time.monotonic())):
            client.remove_pending_request(future)
            raise ManagerUnavailable(f"the manager did not answer within {timeout_s + GRACE_S:g} s")
        return future.result()

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.1)

    def _take_status(self, status: StackStatus) -> None:
        with self._changed:
            self._status = status
            self._changed.notify_all()
        if self._on_status is not None:
            self._on_status(status)

    def _take_heartbeat(self, heartbeat: Heartbeat) -> None:
        with self._changed:
            self._fault = heartbeat.fault
            self._changed.notify_all()
