"""The stack's status as a message, put together from what the manager knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from builtin_interfaces.msg import Time

from bbia_ros.manager.reconciler import Reconciler
from bbia_ros.manager.relief import Relief
from bbia_ros.manager.tally import tally
from bbia_ros.manager.watch import Watch
from bbia_ros.msg import GroupLimit, NodeStatus, ProcessStatus, StackStatus
from bbia_ros.residency.limits import Limits

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
    limits: Limits,
    relief: Relief,
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
        limits: in force over all workers.
        relief: knows how short memory is, and what was given up for it.
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
        budget_bytes=limits.budget_bytes or 0,
        workers_bytes=sums.workers_bytes,
        total_pss_bytes=sums.total_pss_bytes,
        available_bytes=relief.available_bytes,
        reserved_bytes=sum(model.budget_bytes for model in sums.models),
        eviction=limits.eviction,
        groups=[
            GroupLimit(
                group=group, limit=limit, resident=sum(m.group == group and m.budget_bytes > 0 for m in sums.models)
            )
            for group, limit in limits.groups.items()
        ],
    )
    relief.fill(status.pressure)
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
