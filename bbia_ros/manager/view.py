"""A StackStatus for people: tables and a bar for the terminal, and plain data for scripts."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

STATE_STYLES = {
    "active": "bold green",
    "inactive": "cyan",
    "unconfigured": "dim",
    "unknown": "bold red",
    "finalized": "red",
    "IDLE": "green",
    "BUSY": "bold green",
    "LOADING": "yellow",
    "FAILED": "bold red",
    "ABSENT": "dim",
}
BAR_WIDTH = 30


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
    parts.append(memory_line(status))
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
        table.add_row(node.name, _styled(node.state), node.process, Text(node.detail, style="red"))
    return table


def models_table(status: Any) -> Table:
    """Models with state, memory and holder."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("model", "task", "state", "node"):
        table.add_column(column)
    table.add_column("MB", justify="right")
    table.add_column("loads", justify="right")
    table.add_column("note")
    for model in sorted(status.models, key=lambda model: (model.node, model.name)):
        megabytes = f"{model.pss_bytes / 1e6:.0f}" if model.pid else ""
        note = Text(model.last_error, style="red") if model.last_error else Text(model.last_release, style="dim")
        table.add_row(model.name, model.task, _styled(model.state), model.node, megabytes, str(model.loads), note)
    return table


def processes_table(status: Any) -> Table:
    """Processes and workers with their proportional set size."""
    table = Table("process", "pid", box=None, pad_edge=False, header_style="dim")
    table.add_column("PSS MB", justify="right")
    for process in status.processes:
        table.add_row(process.name, str(process.pid), f"{process.pss_bytes / 1e6:.0f}")
    return table


def memory_line(status: Any) -> Text:
    """Workers against the budget as a bar, and the totals."""
    workers, budget = status.workers_bytes, status.budget_bytes
    line = Text("workers ")
    if budget:
        share = min(1.0, workers / budget)
        filled = round(share * BAR_WIDTH)
        style = "green" if share < 0.75 else "yellow" if share < 0.95 else "red"
        line.append("█" * filled, style=style)
        line.append("░" * (BAR_WIDTH - filled), style="dim")
        line.append(f" {workers / 1e6:.0f} of {budget / 1e6:.0f} MB")
    else:
        line.append(f"{workers / 1e6:.0f} MB, no budget")
    line.append(f"   stack {status.total_pss_bytes / 1e6:.0f} MB", style="bold")
    line.append(f"   available {status.available_bytes / 1e6:.0f} MB", style="dim")
    return line


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
                          "evictions", "last_error", "load_s", "last_release"),
                "last_used": _seconds(model.last_used),
            }
            for model in status.models
        ],
        **_fields(status, "budget_bytes", "workers_bytes", "total_pss_bytes", "available_bytes"),
    }  # fmt: skip


def _fields(message: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(message, name) for name in names}


def _seconds(stamp: Any) -> float:
    return float(stamp.sec + stamp.nanosec * 1e-9)


def _styled(state: str) -> Text:
    return Text(state, style=STATE_STYLES.get(state, "yellow"))
