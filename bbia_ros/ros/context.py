"""What the nodes of one process share: the pool, the executor's context and the process's own figures."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from bbia_ros.residency import Ledger, ModelInfo, Pool
from bbia_ros.residency.accounting import pss_bytes
from bbia_ros.residency.heap import trim

GROUP_LIMITS: Mapping[str, int] = {"language": 4, "detector": 2, "stt": 2, "emotion": 2}
"""How many models of a group may be resident at once."""
SAMPLE_S = 1.0
"""The process's PSS is read at most this often [s]; smaps_rollup takes milliseconds."""
SETTLE_S = 3.0
"""So long after a transition what it has left free in the heap, several megabytes, goes back to the system [s]."""
TRIM_S = 30.0
"""And this often in any case [s]: a trim holds up malloc for two milliseconds, and so the control loop."""


class ProcessContext:
    """Shared by the nodes of one process.

    Owns: the pool and the sampler of the process's memory. Does not own: rclpy's context and the executor.

    Attributes:
        name: of the process in the composition: manager, brain, control, or a node's name when it runs alone.
        pool: of models; None of them is loaded by making it.
        ledger: what all pools of the stack hold, and the limits that they keep.
        ros_context: rclpy's context; None is the default one.
        ask: set by the process to a function (bytes needed, requester) -> bytes freed, which asks the manager to have
            idle models of other processes unloaded.
    """

    def __init__(
        self,
        name: str,
        *,
        budget_mb: float | None = None,
        group_limits: Mapping[str, int] | None = None,
        isolation: str = "worker",
        pool: Pool | None = None,
        ros_context: object | None = None,
        node_arguments: Mapping[str, list[str]] | None = None,
    ) -> None:
        """Makes the pool unless one is given.

        Args:
            name: of the process.
            budget_mb: memory for all workers of the stack [MB]; None: no limit.
            group_limits: resident models per group; None: the defaults.
            isolation: worker or inline.
            pool: to use instead, in tests.
            ros_context: rclpy context of the nodes.
            node_arguments: further ROS arguments per node, in tests.
        """
        self.name = name
        self.ros_context = ros_context
        self.ask: Callable[[int, str], int] | None = None
        self._node_arguments = dict(node_arguments or {})
        self._watchers: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._sampler = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pss")
        self._pss, self._sampled_at, self._sampling = 0, float("-inf"), False
        self._trim_at = time.monotonic() + SETTLE_S
        # Stacks that cannot see each other cannot ask each other for room either.
        self.ledger = Ledger(stack=f"domain-{os.environ.get('ROS_DOMAIN_ID') or 0}", process=name)
        self.pool = (
            pool
            if pool is not None
            else Pool(
                budget_mb=budget_mb,
                group_limits=dict(group_limits or GROUP_LIMITS),
                ledger=self.ledger,
                isolation=isolation,
                ask=self._ask,
            )
        )
        self.pool.on_change(self._changed)

    def cli_args(self, node: str) -> list[str] | None:
        """ROS arguments for one node alone; None: only the process's own."""
        return self._node_arguments.get(node)

    def models(self) -> list[ModelInfo]:
        """The pool's models."""
        return list(self.pool.snapshot())

    def watch_models(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back, from any thread, after each change in the pool. Returns the function that ends it."""
        with self._lock:
            self._watchers.append(callback)

        def stop() -> None:
            with self._lock:
                if callback in self._watchers:
                    self._watchers.remove(callback)

        return stop

    def monotonic(self) -> float:
        """The clock of the pool's time stamps [s]."""
        return time.monotonic()

    def pss_bytes(self) -> int:
        """PSS of this process, at most about a second old; 0 until the first sample is there. Never blocks."""
        with self._lock:
            if not self._sampling and time.monotonic() - self._sampled_at >= SAMPLE_S:
                self._sampling = True
                self._sampler.submit(self._sample)
            return self._pss

    def settle(self) -> None:
        """A node has changed its state: what that leaves free in the heap goes back to the system soon."""
        self._trim_at = time.monotonic() + SETTLE_S

    def close(self) -> None:
        """Ends every worker and the sampler."""
        self.pool.close()
        self._sampler.shutdown(wait=True)

    def _sample(self) -> None:
        if time.monotonic() >= self._trim_at:
            self._trim_at = time.monotonic() + TRIM_S
            trim()
        value = pss_bytes(os.getpid())
        with self._lock:
            self._pss, self._sampled_at, self._sampling = value, time.monotonic(), False

    def _ask(self, needed_bytes: int, requester: str) -> int:
        return self.ask(needed_bytes, requester) if self.ask is not None else 0

    def _changed(self, *_: object) -> None:
        with self._lock:
            watchers = list(self._watchers)
        for watcher in watchers:
            watcher()
