"""Plots of a run, as PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bbia_ros.demo.memory import Sample
from bbia_ros.demo.play import Run
from bbia_ros.geometry import azimuth_elevation, matrix_from_pose

MODE_COLOURS = {"sleep": "#dfe6f0", "idle": "#fdf3d8", "watch": "#e6f5e1", "listen": "#e1f0f5", "converse": "#fbe3dc"}
SERIES_COLOURS = (
    "#31485f",
    "#4d7ea8",
    "#82a9c9",
    "#c06e52",
    "#e0a458",
    "#8a9a5b",
    "#5b8e7d",
    "#9b6a9e",
    "#c98ba9",
    "#777777",
    "#b5a27f",
    "#4f4f7a",
)
Stamped = Sequence[Any]


def memory_plot(statuses: Stamped, samples: Sequence[Sample], run: Run) -> bytes:
    """Stacked memory per process and model over time, with mode bands and chapters.

    Args:
        statuses: Heard StackStatus messages.
        samples: total PSS as measured outside the stack.
        run: for the chapters.
    """
    figure, axes = _figure(11, 4.6)
    start = run.chapters[0].start_s
    times = np.array([1e-9 * heard.stamp_ns - start for heard in statuses])
    stacks = memory_series([heard.message for heard in statuses])
    _mode_bands(axes, statuses, start)
    if len(times):
        axes.stackplot(
            times, *stacks.values(), labels=list(stacks), colors=SERIES_COLOURS, step="post", linewidth=0, alpha=0.9
        )
    axes.plot(
        [s.stamp_s - start for s in samples],
        [s.total_bytes / 1e6 for s in samples],
        color="black",
        linewidth=1.0,
        label="total, measured from outside",
    )
    for chapter in run.chapters:
        axes.axvline(chapter.start_s - start, color="#888888", linewidth=0.6, linestyle=":")
        axes.text(
            chapter.start_s - start + 0.4,
            axes.get_ylim()[1] * 0.99,
            chapter.title,
            rotation=90,
            va="top",
            ha="left",
            fontsize=7,
            color="#555555",
        )
    axes.set(xlabel="time [s]", ylabel="PSS [MB]", xlim=(0, None), ylim=(0, None))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7, frameon=False)
    return _png(figure)


def memory_series(statuses: Sequence[Any]) -> dict[str, list[float]]:
    """Name of each process and model -> its PSS [MB] in each status, 0 where it is not there.

    Models that share a worker are one series, named after the first.
    """
    rows: list[dict[str, float]] = []
    for status in statuses:
        row = {f"process {p.name}": p.pss_bytes / 1e6 for p in status.processes if not _is_worker(p.name, status)}
        seen: set[int] = set()
        for model in status.models:
            if model.pid and model.pid not in seen:
                seen.add(model.pid)
                row[model.name] = row.get(model.name, 0.0) + model.pss_bytes / 1e6
        rows.append(row)
    names = sorted({name for row in rows for name in row}, key=lambda name: (not name.startswith("process"), name))
    return {name: [row.get(name, 0.0) for row in rows] for name in names}


def _is_worker(name: str, status: Any) -> bool:
    pids = {model.pid for model in status.models if model.pid}
    return any(p.name == name and p.pid in pids for p in status.processes)


def gaze_plot(states: Stamped, run: Run) -> bytes:
    """Azimuth of the visitor and of the gaze over time."""
    figure, axes = _figure(11, 3.2)
    start = run.chapters[0].start_s
    times, gazes, visitors = [], [], []
    for heard in states:
        camera = matrix_from_pose(heard.message.camera)
        times.append(1e-9 * heard.stamp_ns - start)
        gazes.append(math.degrees(azimuth_elevation(camera[:3, 2])[0]))
        if heard.message.visitor_present:
            point = heard.message.visitor
            offset = np.array([point.x, point.y, point.z]) - camera[:3, 3]
            visitors.append(math.degrees(azimuth_elevation(offset)[0]))
        else:
            visitors.append(math.nan)
    axes.plot(times, visitors, color="#c06e52", linewidth=2.5, alpha=0.6, label="visitor, true direction")
    axes.plot(times, gazes, color="#31485f", linewidth=1.2, label="eye camera")
    axes.set(xlabel="time [s]", ylabel="azimuth [deg], left positive", xlim=(0, None))
    axes.legend(fontsize=8, frameon=False)
    return _png(figure)


def feeling_plot(user: Stamped, robot: Stamped, run: Run) -> bytes:
    """Valence read in face and words, fused, and of the robot's own mood."""
    figure, axes = _figure(11, 3.2)
    start = run.chapters[0].start_s
    styles = {"face": ("#8a9a5b", "."), "text": ("#c06e52", "D"), "fused": ("#82a9c9", "."), "robot": ("#31485f", "o")}
    for source, (colour, marker) in styles.items():
        messages = [h for h in (robot if source == "robot" else user) if source in ("robot", h.message.source)]
        if not messages:
            continue
        times = [1e-9 * h.stamp_ns - start for h in messages]
        valences = [h.message.valence for h in messages]
        steps = "steps-post" if source == "robot" else "default"
        axes.plot(
            times, valences, color=colour, marker=marker, markersize=5, linewidth=0.8, drawstyle=steps, label=source
        )
        if source in ("text", "robot"):
            for at, valence, h in zip(times, valences, messages, strict=True):
                axes.annotate(
                    h.message.label, (at, valence), fontsize=7, xytext=(2, 4), textcoords="offset points", color=colour
                )
    axes.set(xlabel="time [s]", ylabel="valence", xlim=(0, None), ylim=(-1.1, 1.2))
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    return _png(figure)


def latency_plot(latencies: Mapping[str, float], goal_s: float) -> bytes:
    """Time from the visitor's last voiced sample to the robot's first, per line."""
    figure, axes = _figure(6, 2.4)
    keys = list(latencies)
    axes.barh(
        keys,
        [latencies[key] for key in keys],
        color=["#5b8e7d" if latencies[key] <= goal_s else "#c06e52" for key in keys],
    )
    axes.axvline(goal_s, color="#555555", linestyle=":", linewidth=1)
    axes.invert_yaxis()
    axes.set(xlabel=f"answer latency [s], goal {goal_s} s")
    return _png(figure)


def _mode_bands(axes: Any, statuses: Stamped, start: float) -> None:
    spans: list[tuple[float, str]] = []
    for heard in statuses:
        if not spans or spans[-1][1] != heard.message.mode:
            spans.append((1e-9 * heard.stamp_ns - start, heard.message.mode))
    end = 1e-9 * statuses[-1].stamp_ns - start if statuses else 0.0
    for (begin, mode), (until, _) in zip(spans, [*spans[1:], (end, "")], strict=True):
        axes.axvspan(begin, until, color=MODE_COLOURS.get(mode, "#ffffff"), linewidth=0, zorder=0)
        if mode and until - begin > 2:
            axes.text(
                (begin + until) / 2,
                0.01,
                mode,
                transform=axes.get_xaxis_transform(),
                ha="center",
                va="bottom",
                fontsize=8,
                color="#333333",
            )


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
