"""Memory in a StackStatus for people: the models and why they are there, the limits, and what was given up."""

from __future__ import annotations

import math
from typing import Any

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
RUNGS = ("nothing is given up", "unused models are unloaded", "smaller variants", "nodes are given up")
"""Words for Pressure.rung."""


def models_table(status: Any) -> Table:
    """Models with their holder, their memory, and why they are in it."""
    table = Table(box=None, pad_edge=False, header_style="dim", expand=False)
    table.add_column("model", overflow="fold")
    table.add_column("state")
    table.add_column("holder")
    table.add_column("MB", justify="right")
    table.add_column("why it is there, or what it gave back", overflow="fold")
    table.add_column("loads", justify="right")
    now = _seconds(status.header.stamp)
    for model in sorted(status.models, key=lambda model: (model.node, model.name)):
        name = Text(model.name)
        if model.variants:
            name.append(
                "".join(f"\n  {'*' if model.name.endswith(one) else ' '} {one}" for one in model.variants), "dim"
            )
        megabytes = f"{model.pss_bytes / 1e6:.0f}" if model.pid else ""
        if model.vram_bytes:
            megabytes += f"\n+{model.vram_bytes / 1e6:.0f} VRAM"
        story = Text(why(model, now)) if model.pid or model.state == "LOADING" else Text(model.last_release, "dim")
        if model.last_error:
            story.append(f"{'; ' if story else ''}{model.last_error}", "red")
        if model.leaking:
            story.append("; it leaked inside the node's process and has a worker now", "yellow")
        table.add_row(name, styled(model.state), model.node, megabytes, story, str(model.loads))
    return table


def why(model: Any, now: float) -> str:
    """Why a model is in memory, and until when; empty if it is not.

    Args:
        model: a ModelStatus.
        now: [s] ROS time of the status.
    """
    if model.state == "LOADING":
        return "is being loaded"
    if not model.pid:
        return ""
    if model.state == "BUSY":
        return "in use"
    used = _seconds(model.last_used)
    rest = max(0.0, now - used)
    words = f"used {_span(rest)} ago" if used else "loaded, not used yet"
    if model.pinned:
        return f"{words}, pinned" if used else "pinned"
    if not model.ttl_s:
        return f"{words}, stays"
    return f"{words}, {_span(max(0.0, model.ttl_s - rest))} left" if used else f"{words}, for {_span(model.ttl_s)}"


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


def limits_line(status: Any) -> Text:
    """What all models count for, and how full each group is."""
    line = Text(f"limits  {status.reserved_bytes / 1e6:.0f} MB reserved")
    for group in status.groups:
        full = group.resident >= group.limit
        line.append(f"   {group.group} {group.resident}/{group.limit}", style="yellow" if full else "")
    line.append(f"   eviction {status.eviction}", style="dim")
    return line


def pressure_lines(pressure: Any, events: int = 3) -> list[Text]:
    """How short memory is, what was given up for it, and the newest steps.

    Args:
        pressure: a Pressure message.
        events: how many of the newest steps to show.
    """
    line = Text("memory  ")
    line.append(RUNGS[pressure.rung], style="bold red" if pressure.rung > 1 else "yellow" if pressure.rung else "green")
    if not math.isnan(pressure.some_avg10):
        full = "" if math.isnan(pressure.full_avg10) else f", all {pressure.full_avg10:.0f} %"
        line.append(f"   waited for (PSI): some {pressure.some_avg10:.0f} %{full}", style="dim")
    if pressure.cgroup_limit_bytes:
        line.append(f"   cgroup {pressure.cgroup_bytes / 1e6:.0f} of {pressure.cgroup_limit_bytes / 1e6:.0f} MB", "dim")
    lines = [line]
    if pressure.given_up:
        lines.append(Text(f"        given up: {'; '.join(pressure.given_up)}", style="yellow"))
    return lines + [Text(f"        {event}", style="dim") for event in pressure.events[-events:]]


def styled(state: str) -> Text:
    """A state of a node or model in its colour."""
    return Text(state, style=STATE_STYLES.get(state, "yellow"))


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _seconds(stamp: Any) -> float:
    return float(stamp.sec + stamp.nanosec * 1e-9)
