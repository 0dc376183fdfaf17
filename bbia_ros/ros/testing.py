"""Fakes and a runner for tests of nodes, also for nodes of your own that build on BbiaNode."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile

from bbia_ros.residency import ModelInfo, ModelSpec
from bbia_ros.residency.errors import CallCancelled, LeaseReleased
from bbia_ros.ros.context import ProcessContext
from bbia_ros.ros.lifecycle import BbiaNode
from bbia_ros.ros.process import make_executor


class FakeLease:
    """A lease on a fake engine that lives in the test's process."""

    def __init__(self, spec: ModelSpec, engine: Any, pool: FakePool) -> None:
        self.spec, self.engine, self.pool = spec, engine, pool
        self.released, self.preloaded, self.prefetched = False, False, False
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def _method(self, method: str, args: tuple[Any, ...]) -> Callable[..., Any]:
        if self.released:
            raise LeaseReleased(f"the lease of '{self.spec.name}' has been released")
        self.calls.append((method, args))
        if isinstance(self.engine, Exception):
            raise self.engine
        found: Callable[..., Any] = getattr(self.engine, method)
        return found

    def call(self, method: str, *args: Any, timeout_s: float = 10.0, **kwargs: Any) -> Any:
        """Calls the fake engine's method in the caller's thread."""
        return self._method(method, args)(*args, **kwargs)

    def stream(self, method: str, *args: Any, timeout_s: float = 30.0, **kwargs: Any) -> FakeStream:
        """Streams from the fake engine's generator method."""
        return FakeStream(self._method(method, args)(*args, **kwargs), self)

    def preload(self, *, evict: bool = True) -> Future[None]:
        """Notes the wish."""
        self.preloaded = True
        future: Future[None] = Future()
        future.set_result(None)
        return future

    def prefetch(self, safe_s: float = 30.0) -> Future[None]:
        """Notes the guess."""
        self.prefetched = True
        future: Future[None] = Future()
        future.set_result(None)
        return future

    def cancel(self) -> None:
        """Nothing is in flight longer than a call takes."""

    def release(self) -> None:
        """Calls and streams fail from now on."""
        self.released = True


class FakeStream:
    """Iterator over a fake engine's generator, ended by `cancel` or by the lease's release."""

    def __init__(self, items: Iterator[Any], lease: FakeLease) -> None:
        self._items, self._lease, self._cancelled = iter(items), lease, False

    def __iter__(self) -> FakeStream:
        return self

    def __next__(self) -> Any:
        if self._cancelled or self._lease.released:
            raise CallCancelled(f"the call to '{self._lease.spec.name}' was cancelled")
        return next(self._items)

    def cancel(self) -> None:
        """Ends the stream before its next item."""
        self._cancelled = True


class FakePool:
    """A pool whose engines are objects of the test, found by task; an exception stands for a failing model.

    Attributes:
        leases: by model name, the newest lease.
    """

    def __init__(self, engines: Mapping[str, Any]) -> None:
        self.engines, self.leases = dict(engines), dict[str, FakeLease]()

    def acquire(self, spec: ModelSpec) -> FakeLease:
        """A lease on the fake engine of the model's task."""
        lease = FakeLease(spec, self.engines[spec.task], self)
        self.leases[spec.name] = lease
        return lease

    def release(self, leases: Iterable[FakeLease]) -> list[None]:
        """Releases several leases."""
        released = list(leases)
        for lease in released:
            lease.release()
        return [None] * len(released)

    def snapshot(self) -> list[ModelInfo]:
        """No model is ever resident here."""
        return []

    def on_change(self, callback: Callable[..., None]) -> None:
        """Nothing changes."""

    def unload(self, name: str) -> None:
        """Nothing is loaded."""

    def reset(self, name: str) -> None:
        """Nothing has failed."""

    def adjust(self, name: str, *, ttl_s: float, pinned: bool) -> None:
        """Nothing is in memory that could go or stay."""

    def close(self) -> None:
        """Nothing to end."""


class NodeRunner:
    """Spins one node of the package and a plain probe node on a private ROS context.

    Owns: the context, both nodes, the spinning threads. Use as a context manager, in a test marked heavy.

    Attributes:
        node: the node under test. Its transitions: configure(), activate(), deactivate(), cleanup().
        probe: a plain rclpy node in the same namespace, to publish, subscribe and call.
    """

    def __init__(
        self,
        factory: Callable[[ProcessContext], BbiaNode[Any]],
        *,
        pool: Any = None,
        parameters: Mapping[str, Any] | None = None,
        namespace: str = "/bbia",
        **process: Any,
    ) -> None:
        self.context = Context()
        args = ["--ros-args", "-r", f"__ns:={namespace}"]
        for name, value in (parameters or {}).items():
            args += ["-p", f"{name}:={_yaml(value)}"]
        rclpy.init(args=args, context=self.context)
        self.process = ProcessContext("test", pool=pool, ros_context=self.context, **process)
        self._executor = make_executor(self.context)
        self._probe_executor = SingleThreadedExecutor(context=self.context)
        self.node = factory(self.process)
        # use_global_arguments: the parameters above are for the node under test alone
        self.probe = Node("probe", context=self.context, namespace=namespace, use_global_arguments=False)
        self._executor.add_node(self.node)
        self._probe_executor.add_node(self.probe)
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._spin, args=(executor,), daemon=True)
            for executor in (self._executor, self._probe_executor)
        ]
        for thread in self._threads:
            thread.start()

    def _spin(self, executor: Any) -> None:
        while not self._stop.is_set():
            executor.spin_once(timeout_sec=0.05)

    def on_executor(self, function: Callable[[], Any], timeout_s: float = 30.0) -> Any:
        """Runs a function in the node's executor thread, as a callback would, and returns its result."""
        done, box = threading.Event(), list[Any]()

        def run() -> None:
            try:
                box.append(function())
            except BaseException as error:
                box.append(error)
            finally:
                done.set()

        self._executor.create_task(run)
        if not done.wait(timeout_s):
            raise TimeoutError("the executor did not run the function")
        if isinstance(box[0], BaseException):
            raise box[0]
        return box[0]

    def configure(self) -> bool:
        """True: the transition succeeded."""
        return bool(self.on_executor(self.node.trigger_configure).name == "SUCCESS")

    def activate(self) -> bool:
        """True: the transition succeeded."""
        return bool(self.on_executor(self.node.trigger_activate).name == "SUCCESS")

    def deactivate(self) -> bool:
        """True: the transition succeeded."""
        return bool(self.on_executor(self.node.trigger_deactivate).name == "SUCCESS")

    def cleanup(self) -> bool:
        """True: the transition succeeded."""
        return bool(self.on_executor(self.node.trigger_cleanup).name == "SUCCESS")

    def collect(self, kind: type[Any], topic: str, profile: QoSProfile) -> Inbox:
        """Subscribes the probe; the inbox holds the last 1000 messages."""
        inbox = Inbox()
        self.probe.create_subscription(kind, topic, inbox.put, profile)
        return inbox

    def publisher(self, kind: type[Any], topic: str, profile: QoSProfile, wait_s: float = 5.0) -> Any:
        """A publisher of the probe, once somebody subscribes to it.

        Raises:
            TimeoutError: nobody did.
        """
        publisher = self.probe.create_publisher(kind, topic, profile)
        wait_until(lambda: publisher.get_subscription_count() > 0, wait_s, f"a subscriber of {topic}")
        return publisher

    def call(self, kind: type[Any], service: str, request: Any, timeout_s: float = 10.0) -> Any:
        """Calls a service from the probe."""
        client = self.probe.create_client(kind, service)
        if not client.wait_for_service(timeout_s):
            raise TimeoutError(f"no service {service}")
        future, done = client.call_async(request), threading.Event()
        future.add_done_callback(lambda _: done.set())
        if not done.wait(timeout_s):
            raise TimeoutError(f"no answer from {service}")
        self.probe.destroy_client(client)
        return future.result()

    def close(self) -> None:
        """Ends the node, its workers, the threads and the context."""
        self._stop.set()
        for thread in self._threads:
            thread.join(10.0)
        self._executor.remove_node(self.node)
        self._probe_executor.remove_node(self.probe)
        self.node.destroy_node()
        self.probe.destroy_node()
        self.process.close()
        self._executor.shutdown()
        self._probe_executor.shutdown()
        rclpy.shutdown(context=self.context)

    def __enter__(self) -> NodeRunner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Inbox:
    """Messages that arrived, newest last; waits without polling."""

    def __init__(self, limit: int = 1000) -> None:
        self._limit, self._messages, self._changed = limit, list[Any](), threading.Condition()

    def put(self, message: Any) -> None:
        """Called by the subscription."""
        with self._changed:
            self._messages.append(message)
            del self._messages[: -self._limit]
            self._changed.notify_all()

    @property
    def messages(self) -> list[Any]:
        """A copy of what is there."""
        with self._changed:
            return list(self._messages)

    def clear(self) -> None:
        """Forgets what came so far."""
        with self._changed:
            self._messages.clear()

    def wait(self, condition: Callable[[Any], bool] = lambda _: True, timeout_s: float = 10.0) -> Any:
        """The first message (of those kept or still to come) that meets the condition.

        Raises:
            TimeoutError: none did in time.
        """
        deadline, seen = time.monotonic() + timeout_s, 0
        with self._changed:
            while True:
                for message in self._messages[seen:]:
                    if condition(message):
                        return message
                seen = len(self._messages)
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise TimeoutError(f"no such message among {seen} in {timeout_s} s")


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Polls a condition that has no event to wait for.

    Raises:
        TimeoutError: it did not become true in time.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s} s in vain for {what}")
        time.sleep(0.01)


def _yaml(value: Any) -> str:
    import yaml

    return yaml.safe_dump(value, default_flow_style=True).split("\n...")[0].strip()
