"""The stack's status as a message, put together from what the manager knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from builtin_interfaces.msg import Time

from bbia_ros.manager.reconciler import Reconciler
from bbia_ros.manager.tally import tally
from bbia_ros.manager.watch import Watch
from bbia_ros.msg import NodeStatus, ProcessStatus, StackStatus

UNKNOWN = "unknown"


def stack_status(
    *,
    stamp: Time,
    mode: str,
    target_mode: str,
    process: str,
    nodes: Iterable[str],
    reconciler: Reconciler,
    watch: Watch,
    transitions: Mapping[str, str],
    residencies: Mapping[str, Any],
    budget_bytes: int,
    available_bytes: int,
) -> StackStatus:
    """The status message.

    Args:
        stamp: ROS time now.
        mode: in effect; empty before the first.
        target_mode: that is being entered.
        process: that the manager itself runs in.
        nodes: in the order of the modes file.
        reconciler: knows states and failures.
        watch: knows who is alive and what is wrong.
        transitions: state labels of nodes that are in a transition just now, like "activating".
        residencies: last Residency message per node, the manager's own included.
        budget_bytes: limit over all workers; 0: none.
        available_bytes: MemAvailable of the machine.
    """
    alive = {node for node, sign in watch.signs.items() if sign.alive}
    sums = tally(message for node, message in residencies.items() if node in alive or node not in watch.signs)
    status = StackStatus(
        mode=mode,
        target_mode=target_mode,
        nodes=[
            NodeStatus(name="manager", state="active", process=process),
            *(_node(node, reconciler, watch, transitions) for node in nodes),
        ],
        processes=[ProcessStatus(name=row.name, pid=row.pid, pss_bytes=row.pss_bytes) for row in sums.processes],
        models=sums.models,
        budget_bytes=budget_bytes,
        workers_bytes=sums.workers_bytes,
        total_pss_bytes=sums.total_pss_bytes,
        available_bytes=available_bytes,
    )
    status.header.stamp = stamp
    return status


def _node(node: str, reconciler: Reconciler, watch: Watch, transitions: Mapping[str, str]) -> NodeStatus:
    sign = watch.signs.get(node)
    state = reconciler.present.get(node, UNKNOWN)
    if state != UNKNOWN:
        state = transitions.get(node, state)
    details = []
    problem = reconciler.problem(node)
    if problem:
        details.append(problem)
    if sign is not None and sign.fault and sign.fault not in problem:
        details.append(sign.fault)
    return NodeStatus(name=node, state=state, process=sign.process if sign else "", detail="; ".join(details))
