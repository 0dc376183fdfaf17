"""The report of a run: one HTML file with everything in it but the film."""

from __future__ import annotations

import base64
import html
import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bbia_ros.demo.measure import Finding, seconds
from bbia_ros.demo.memory import Sample
from bbia_ros.demo.play import Run
from bbia_ros.demo.plots import feeling_plot, gaze_plot, latency_plot, memory_plot

LATENCY_GOAL_S = 1.5

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2em auto; padding: 0 1em; color: #222; }
h1 { font-size: 1.6em; margin-bottom: 0; } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .25em .6em; border-bottom: 1px solid #eee; vertical-align: top; }
.ok { color: #2e7d4f; } .missed { color: #b3402a; font-weight: 600; } .quiet { color: #777; }
img { max-width: 100%; } video { width: 100%; background: #000; }
figure { margin: .5em; display: inline-block; width: 31%; vertical-align: top; } figure img { width: 100%; } figcaption { font-size: .85em; color: #555; }
.turn { display: grid; grid-template-columns: 4em 5.5em 1fr; gap: .6em; padding: .2em 0; } .robot { background: #f4f7fa; } .time { color: #888; font-variant-numeric: tabular-nums; }
.note { color: #777; font-size: .85em; }
"""


@dataclass(frozen=True)
class Picture:
    """A still of the film.

    Attributes:
        caption: what it shows.
        jpeg: the picture.
    """

    caption: str
    jpeg: bytes


def write_report(
    path: Path,
    run: Run,
    history: Mapping[str, Sequence[Any]],
    samples: Sequence[Sample],
    pictures: Sequence[Picture],
    film: str = "",
) -> None:
    """Writes report.html, and beside it figures.json with the findings for other programs.

    Args:
        path: of the HTML file.
        run: findings, figures, chapters.
        history: the stage's messages, see Stage.
        samples: memory.
        pictures: stills.
        film: file name of the film in the same folder; empty: there is none.
    """
    missed = [finding for finding in run.findings if not finding.passed]
    peak = max((sample.total_bytes for sample in samples), default=0) / 1e6
    run.figures["memory.peak_converse_mb"] = (peak, "MB")
    verdict = (
        f"{len(missed)} of {len(run.findings)} expectations missed"
        if missed
        else f"all {len(run.findings)} expectations met"
    )
    sections = [
        f"<h1>A visit to bbia_ros</h1><p class='quiet'>{time.strftime('%Y-%m-%d %H:%M')} on {html.escape(machine())}</p>",
        f"<p class='{'missed' if missed else 'ok'}'>{verdict}. Peak memory of the whole stack, simulation included: {peak:.0f} MB.</p>",
        f"<video controls src='{html.escape(film)}'></video>" if film else "",
        "<h2>Expectations</h2>", _findings(run.findings),
        "<h2>Memory</h2><p class='note'>Coloured: each process and model as the stack reports it. Black: the sum as measured from outside. "
        "Bands: the mode.</p>", _image(memory_plot(history["manager/status"], samples, run), "memory over time"),
        "<h2>Conversation</h2>", _transcript(run, history),
        "<h2>How fast it answers</h2>", _image(latency_plot(run.latencies, LATENCY_GOAL_S), "answer latencies") if run.latencies else "<p>No answer.</p>",
        "<h2>Gaze</h2>", _image(gaze_plot(history["driver/simulation_state"], run), "gaze over time"),
        "<h2>Feelings</h2><p class='note'>The portrait always smiles: the face reads happy while the words may be sad. Fused is what the robot takes from both.</p>",
        _image(feeling_plot(history["emotion/user"], history["emotion/robot"], run), "feelings over time"),
        "<h2>Pictures</h2>", "".join(f"<figure>{_image(p.jpeg, p.caption, 'jpeg')}<figcaption>{html.escape(p.caption)}</figcaption></figure>" for p in pictures),
        "<h2>Figures</h2>", _figures(run),
    ]  # fmt: skip
    body = "\n".join(sections)
    path.write_text(
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>A visit to bbia_ros</title><style>{STYLE}</style><body>{body}</body></html>",
        encoding="utf-8",
    )
    figures = {key: {"value": value, "unit": unit} for key, (value, unit) in run.figures.items()}
    findings = [finding.__dict__ for finding in run.findings]
    path.with_name("figures.json").write_text(
        json.dumps(
            {"machine": machine(), "date": time.strftime("%Y-%m-%d"), "figures": figures, "findings": findings},
            indent=2,
        ),
        encoding="utf-8",
    )


def machine() -> str:
    """Processor, cores and memory of this machine, for people."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    names = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    kilobytes = int(Path("/proc/meminfo").read_text(encoding="utf-8").split()[1])
    return f"{names[0] if names else platform.machine()}, {len(names)} cores, {kilobytes / 1e6:.0f} GB, Python {platform.python_version()}"


def _image(data: bytes, caption: str, kind: str = "png") -> str:
    return f"<img alt='{html.escape(caption)}' src='data:image/{kind};base64,{base64.b64encode(data).decode()}'>"


def _findings(findings: Sequence[Finding]) -> str:
    rows = "".join(
        f"<tr><td class='{'ok' if f.passed else 'missed'}'>{'met' if f.passed else 'missed'}</td><td>{html.escape(f.wanted)}</td>"
        f"<td>{html.escape(f.measured)}</td></tr>"
        for f in findings
    )
    return f"<table><tr><th></th><th>expected</th><th>seen</th></tr>{rows}</table>"


def _figures(run: Run) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(key)}</td><td>{value:.3g} {html.escape(unit)}</td></tr>"
        for key, (value, unit) in sorted(run.figures.items())
    )
    return f"<table>{rows}</table>"


def transcript(run: Run, history: Mapping[str, Sequence[Any]]) -> list[tuple[float, str, str, str]]:
    """(time [s], who, text, note) of everything that was said, in order."""
    start = run.chapters[0].start_s
    lines: list[tuple[float, str, str, str]] = []
    for heard in history["speech/heard"]:
        if heard.message.final:
            lines.append(
                (
                    seconds(heard.message.start) - start,
                    "visitor",
                    heard.message.text,
                    f"as heard, confidence {heard.message.confidence:.2f}",
                )
            )
    for heard in history["dialogue/turns"]:
        turn = heard.message
        if turn.role == "robot" and turn.final:
            note = turn.source + (f", tool {turn.tool}" if turn.tool else "")
            lines.append((1e-9 * heard.stamp_ns - start, "robot", turn.text, note))
    for heard in history["emotion/robot"]:
        lines.append(
            (
                1e-9 * heard.stamp_ns - start,
                "mood",
                f"the robot feels {heard.message.label}",
                f"intensity {heard.message.intensity:.2f}",
            )
        )
    return sorted(lines)


def _transcript(run: Run, history: Mapping[str, Sequence[Any]]) -> str:
    return "".join(
        f"<div class='turn {who}'><span class='time'>{at:.1f} s</span><b>{who}</b><span>{html.escape(text)} <span class='note'>{html.escape(note)}</span></span></div>"
        for at, who, text, note in transcript(run, history)
    )
