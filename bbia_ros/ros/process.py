"""Runs nodes in a process: one executor, one pool, an orderly end on Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import rclpy
from lifecycle_msgs.msg import State
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from bbia_ros.ros.context import ProcessContext
from bbia_ros.ros.footprint import leave_out_code_generator
from bbia_ros.ros.lifecycle import BbiaNode
from bbia_ros.srv import FreeMemory

NodeFactory = Callable[[ProcessContext], BbiaNode[Any]]
ASK_TIMEOUT_S = 2.0
"""How long a load waits for the manager to free memory elsewhere [s]."""


def make_executor(context: Context | None = None) -> Any:
    """EventsExecutor where rclpy has it (a fifth of the CPU), else SingleThreadedExecutor."""
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor(context=context)
    return EventsExecutor(context=context)


def run_process(
    name: str,
    factories: Sequence[NodeFactory],
    *,
    args: Sequence[str] | None = None,
    activate: bool = False,
    **pool: Any,
) -> int:
    """Runs the nodes until SIGINT or SIGTERM, then deactivates them, ends every worker and returns.

    A node that cannot be made is reported and the others run.

    Args:
        name: of the process.
        factories: make the nodes.
        args: command line with ROS arguments; None: sys.argv.
        activate: configure and activate the nodes at once, for use without a manager.
        **pool: budget_mb, group_limits, isolation; see ProcessContext.

    Returns:
        Exit code: 0, or 1 when no node could be made.
    """
    stop = threading.Event()
    executor: Any = None

    def on_signal(signum: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    leave_out_code_generator()
    rclpy.init(args=list(args) if args is not None else sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    context = ProcessContext(name, **pool)
    nodes: list[BbiaNode[Any]] = []
    try:
        executor = make_executor()
        for factory in factories:
            if stop.is_set():
                break
            try:
                node = factory(context)
            except Exception:
                print(f"{name}: a node could not be made:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
                continue
            nodes.append(node)
            executor.add_node(node)
        if not nodes and not stop.is_set():
            return 1
        _let_ask(context, nodes)
        if activate:
            _bring_up(nodes)
        while not stop.is_set():
            _spin_once(executor, nodes)
    finally:
        _end(nodes, executor, context)
    return 0


def _spin_once(executor: Any, nodes: Sequence[BbiaNode[Any]]) -> None:
    """One turn. What rclpy's own callbacks raise (ours are guarded) is reported and does not end the other nodes."""
    try:
        executor.spin_once(timeout_sec=0.2)
    except Exception as error:
        traceback.print_exc()
        for node in nodes:
            node.report_fault("executor", f"a callback of rclpy failed: {type(error).__name__}: {error}")


def _bring_up(nodes: Sequence[BbiaNode[Any]]) -> None:
    for node in nodes:
        if node.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            node.trigger_activate()


def _let_ask(context: ProcessContext, nodes: Sequence[BbiaNode[Any]]) -> None:
    """Lets the pool ask the manager, through the first node, to free memory in other processes."""
    if not nodes:
        return
    client = nodes[0].create_client(FreeMemory, "manager/free_memory")

    def ask(needed_bytes: int, requester: str) -> int:
        if not client.service_is_ready():
            return 0
        done = threading.Event()
        future = client.call_async(FreeMemory.Request(requester=requester, needed_bytes=needed_bytes))
        future.add_done_callback(lambda _: done.set())
        if not done.wait(ASK_TIMEOUT_S) or future.result() is None:
            return 0
        return int(future.result().freed_bytes)

    context.ask = ask


def _end(nodes: Sequence[BbiaNode[Any]], executor: Any, context: ProcessContext) -> None:
    for node in reversed(nodes):
        try:
            state = node._state_machine.current_state[0]
            if state == State.PRIMARY_STATE_ACTIVE:
                node.trigger_deactivate()
            if state != State.PRIMARY_STATE_FINALIZED:
                node.trigger_shutdown()
        except Exception:
            traceback.print_exc()
    context.close()
    for node in reversed(nodes):
        executor.remove_node(node)
        node.destroy_node()
    if executor is not None:
        executor.shutdown()
    rclpy.try_shutdown()


def run_alone(name: str, factory: NodeFactory, argv: Sequence[str] | None = None) -> int:
    """Entry point of a node that runs in a process of its own."""
    argv = list(sys.argv if argv is None else argv)
    parser = argparse.ArgumentParser(prog=name, description=f"Runs the {name} node of bbia_ros alone.")
    parser.add_argument("--activate", action="store_true", help="configure and activate at once, without a manager")
    parser.add_argument("--budget-mb", type=float, default=None, help="memory for all workers of the stack [MB]")
    parser.add_argument("--isolation", choices=("worker", "inline"), default="worker", help="where models run")
    options = parser.parse_args(remove_ros_args(argv)[1:])
    if "--ros-args" not in argv or not any(a.startswith("__ns:=") for a in argv):
        argv = [*argv, "--ros-args", "-r", "__ns:=/bbia"]
    return run_process(
        name, [factory], args=argv, activate=options.activate, budget_mb=options.budget_mb, isolation=options.isolation
    )
