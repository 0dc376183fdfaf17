"""Plots of a soak from its record, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bbia_ros.demo.plots import MODE_COLOURS, SERIES_COLOURS
from bbia_ros.soak.record import read

MOST_COLUMNS = 1500
"""Samples that are drawn; of more, every so manyth is."""
STRIKE_COLOURS = {"kill": "#b03030", "stop": "#d08a00", "starve": "#7a5aa6"}
UNNAMED, UNNAMED_COLOUR = "worker of", "#c4c4c4"
"""Workers that are just being started, before their node tells what they load."""
LAST = "other workers"
MOST_SERIES = 16


@dataclass
class History:
    """What is drawn.

    Attributes:
        times: of the samples [min].
        series: name -> PSS [MB] in each sample.
        counts: threads, descriptors, workers and shared memory in each sample.
        modes: (start, end, mode) [min].
        marks: (time, kind) of strikes, rests and troubles [min].
    """

    times: list[float] = field(default_factory=list)
    series: dict[str, list[float]] = field(default_factory=dict)
    counts: dict[str, list[int]] = field(default_factory=dict)
    modes: list[tuple[float, float, str]] = field(default_factory=list)
    marks: list[tuple[float, str]] = field(default_factory=list)


def load(path: Path, most: int = MOST_COLUMNS) -> History:
    """Reads a record, keeping at most `most` samples however long it is."""
    total = sum(line["kind"] == "sample" for line in read(path))
    step = -(-total // most) if total else 1
    history, rows, number = History(), [], 0
    for line in read(path):
        at = line["t"] / 60.0
        if line["kind"] == "sample":
            _extend_modes(history, at, line["mode"])
            if number % step == 0:
                rows.append(_row(line))
                history.times.append(at)
                for key in ("threads", "fds"):
                    history.counts.setdefault(key, []).append(sum(each[key] for each in line["processes"]))
                for key in ("memfds", "shm"):
                    history.counts.setdefault(key, []).append(line[key])
                workers = sum(each["kind"] == "worker" for each in line["processes"])
                history.counts.setdefault("workers", []).append(workers)
            number += 1
        elif line["kind"] == "strike":
            history.marks.append((at, line["what"]))
        elif line["kind"] in ("rest", "trouble"):
            history.marks.append((at, line["kind"]))
    history.series = _series(rows)
    return history


def draw(history: History, title: str) -> bytes:
    """Stacked PSS of each process with modes and strikes, above threads, descriptors and shared memory."""
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for start, end, mode in history.modes:
        top.axvspan(start, end, color=MODE_COLOURS.get(mode, "#ffffff"), linewidth=0, zorder=0)
    if history.times and history.series:
        palette = [*SERIES_COLOURS, "#d9b8c4", "#a3b18a", "#6d597a", "#e07a5f"]
        colours = [UNNAMED_COLOUR if name.startswith(UNNAMED) else palette[i % len(palette)]
                   for i, name in enumerate(history.series)]  # fmt: skip
        top.stackplot(history.times, *history.series.values(), labels=list(history.series), colors=colours,
                      step="post", linewidth=0, alpha=0.9)  # fmt: skip
    top.set(ylabel="PSS [MB]", ylim=(0, None), title=title)
    height = top.get_ylim()[1]
    for kind, colour in STRIKE_COLOURS.items():
        times = [at for at, what in history.marks if what == kind]
        if times:
            top.plot(times, [0.985 * height] * len(times), "v", color=colour, markersize=6, label=kind, clip_on=False)
    rests = [at for at, what in history.marks if what == "rest"]
    if rests:
        top.plot(rests, [0.01 * height] * len(rests), "^", color="black", markersize=4, label="measured at rest")
    for at in (at for at, what in history.marks if what == "trouble"):
        top.axvline(at, color="red", linewidth=1.5)
    for key, colour in zip(("fds", "threads", "workers", "memfds", "shm"), SERIES_COLOURS[:10:2], strict=True):
        if key in history.counts:
            bottom.plot(
                history.times, history.counts[key], label=key, color=colour, linewidth=1.0, drawstyle="steps-post"
            )
    bottom.set(xlabel="time [min]", ylabel="count", yscale="symlog", ylim=(0, None))
    for axes in (top, bottom):
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8, frameon=False)
        axes.set_xlim(0.0, max([1e-3, *history.times[-1:], *(at for at, _ in history.marks)]))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _extend_modes(history: History, at: float, mode: str) -> None:
    if history.modes:
        start, _, last = history.modes[-1]
        history.modes[-1] = (start, at, last)
    if not history.modes or history.modes[-1][2] != mode:
        history.modes.append((at, at, mode))


def _row(line: Mapping[str, Any]) -> dict[str, float]:
    row: dict[str, float] = {}
    for process in line["processes"]:
        name = process["name"] if process["kind"] != "process" else f"process {process['name']}"
        row[name] = row.get(name, 0.0) + process["pss"] / 1e6
    return row


def _series(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Columns of the rows, processes first; the smallest ones beyond the sixteenth are joined."""
    sums: dict[str, float] = {}
    for row in rows:
        for name, size in row.items():
            sums[name] = sums.get(name, 0.0) + size
    ranked = sorted(sums, key=lambda name: (not name.startswith("process "), -sums[name]))
    shown = ranked[: MOST_SERIES - 1] if len(ranked) > MOST_SERIES else ranked
    series = {name: [row.get(name, 0.0) for row in rows] for name in sorted(shown, key=_order)}
    if len(shown) < len(ranked):
        series[LAST] = [sum(size for name, size in row.items() if name not in shown) for row in rows]
    return series


def _order(name: str) -> tuple[bool, str]:
    return not name.startswith("process "), name
