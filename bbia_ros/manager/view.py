"""A StackStatus for people: tables and a bar for the terminal, and plain data for scripts."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bbia_ros.manager.view_memory import limits_line, memory_line, models_table, pressure_lines, styled


def render_status(status: Any, *, processes: bool = True) -> RenderableType:
    """The whole status as rich renderables.

    Args:
        status: a StackStatus, or None before the first.
        processes: whether to show the table of processes.
    """
    if status is None:
        return Text("no manager has been heard of yet", style="yellow")
    parts: list[RenderableType] = [headline(status), nodes_table(status)]
    if status.models:
        parts.append(models_table(status))
    if processes:
        parts.append(processes_table(status))
    parts += [memory_line(status), limits_line(status), *pressure_lines(status.pressure, events=3 if processes else 1)]
    return Group(*parts)


def headline(status: Any) -> Text:
    """Mode in effect and the one being entered."""
    line = Text("mode ")
    line.append(status.mode or "none yet", style="bold")
    if status.target_mode and status.target_mode != status.mode:
        line.append(f" -> {status.target_mode}", style="yellow")
    return line


def nodes_table(status: Any) -> Table:
    """Nodes with state, process, and what is wrong."""
    table = Table("node", "state", "process", "detail", box=None, pad_edge=False, header_style="dim")
    for node in status.nodes:
        table.add_row(node.name, styled(node.state), node.process, Text(node.detail, style="red"))
    return table


def processes_table(status: Any) -> Table:
    """Processes and workers with their proportional set size."""
    table = Table("process", "pid", box=None, pad_edge=False, header_style="dim")
    table.add_column("PSS MB", justify="right")
    for process in status.processes:
        table.add_row(process.name, str(process.pid), f"{process.pss_bytes / 1e6:.0f}")
    return table


def as_data(status: Any) -> dict[str, Any]:
    """The status as plain data, ready for JSON; field names as in the message, time stamps in seconds."""
    return {
        "stamp": _seconds(status.header.stamp),
        "mode": status.mode,
        "target_mode": status.target_mode,
        "nodes": [_fields(node, "name", "state", "process", "detail") for node in status.nodes],
        "processes": [_fields(process, "name", "pid", "pss_bytes") for process in status.processes],
        "models": [
            {
                **_fields(model, "name", "node", "task", "group", "engine", "state", "pid", "pss_bytes", "loads",
                          "evictions", "last_error", "load_s", "last_release", "pinned", "leaking", "device",
                          "budget_bytes", "vram_bytes", "ttl_s"),
                "variants": list(model.variants),
                "last_used": _seconds(model.last_used),
            }
            for model in status.models
        ],
        **_fields(status, "budget_bytes", "workers_bytes", "total_pss_bytes", "available_bytes", "reserved_bytes",
                  "eviction"),
        "groups": [_fields(group, "group", "limit", "resident") for group in status.groups],
        "pressure": {
            **_fields(status.pressure, "rung", "available_bytes", "cgroup_bytes", "cgroup_limit_bytes"),
            "some_avg10": _number(status.pressure.some_avg10),
            "full_avg10": _number(status.pressure.full_avg10),
            "given_up": list(status.pressure.given_up),
            "events": list(status.pressure.events),
        },
    }  # fmt: skip


def _fields(message: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(message, name) for name in names}


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else float(value)


def _seconds(stamp: Any) -> float:
    return float(stamp.sec + stamp.nanosec * 1e-9)
