"""The report of a run: one HTML file with everything in it but the film, and the figures as JSON."""

from __future__ import annotations

import base64
import html
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from typing import Any

from bbia_ros import machine
from bbia_ros.demo.measure import Finding, seconds
from bbia_ros.demo.memory import Sample
from bbia_ros.demo.play import Run
from bbia_ros.demo.plots import feeling_plot, gaze_plot, latency_plot, memory_plot

LATENCY_GOAL_S = 1.5
"""Last voiced sample of the visitor to the first sample of the answer [s]."""


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
    verdict = f"{len(missed)} of {len(run.findings)} expectations missed"
    template = Template(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
    page = template.substitute(
        date=time.strftime("%Y-%m-%d %H:%M"),
        machine=html.escape(_machine()),
        verdict=verdict if missed else f"All {len(run.findings)} expectations met",
        verdict_class="missed" if missed else "ok",
        peak=f"{max((sample.total_bytes for sample in samples), default=0) / 1e6:.0f}",
        film=f"<video controls src='{html.escape(film)}'></video>" if film else "",
        findings="".join(map(_finding, run.findings)),
        memory=_image(memory_plot(history["manager/status"], samples, run), "memory over time"),
        transcript="".join(_turn(*line) for line in transcript(run, history)),
        latencies=_image(latency_plot(run.latencies, LATENCY_GOAL_S), "latencies")
        if run.latencies
        else "<p>No answer.</p>",
        gaze=_image(gaze_plot(history["driver/simulation_state"], run), "gaze over time"),
        feelings=_image(feeling_plot(history["emotion/user"], history["emotion/robot"], run), "feelings over time"),
        pictures="".join(map(_picture, pictures)),
        figures="".join(_row(key, f"{value:.3g} {unit}") for key, (value, unit) in sorted(run.figures.items())),
    )
    path.write_text(page, encoding="utf-8")
    summary = {
        "machine": _machine(),
        "date": time.strftime("%Y-%m-%d"),
        "figures": {key: {"value": value, "unit": unit} for key, (value, unit) in run.figures.items()},
        "findings": [asdict(finding) for finding in run.findings],
    }
    path.with_name("figures.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")


def _machine() -> str:
    """Processor, cores and memory of this machine, for people."""
    here = machine.describe()
    return f"{here['processor']}, {here['cores']} cores, {here['memory_gb']:.0f} GB, Python {here['python']}"


def transcript(run: Run, history: Mapping[str, Sequence[Any]]) -> list[tuple[float, str, str, str]]:
    """(time [s], who, text, note) of everything that was said and felt, in order."""
    start = run.chapters[0].start_s
    lines: list[tuple[float, str, str, str]] = []
    for heard in history["speech/heard"]:
        if heard.message.final:
            note = f"as heard, confidence {heard.message.confidence:.2f}"
            lines.append((seconds(heard.message.start) - start, "visitor", heard.message.text, note))
    for heard in history["dialogue/turns"]:
        turn = heard.message
        if turn.role == "robot" and turn.final:
            note = turn.source + (f", tool {turn.tool}" if turn.tool else "")
            lines.append((1e-9 * heard.stamp_ns - start, "robot", turn.text, note))
    for heard in history["emotion/robot"]:
        note = f"intensity {heard.message.intensity:.2f}"
        lines.append((1e-9 * heard.stamp_ns - start, "mood", f"the robot feels {heard.message.label}", note))
    return sorted(lines)


def _image(data: bytes, caption: str, kind: str = "png") -> str:
    return f"<img alt='{html.escape(caption)}' src='data:image/{kind};base64,{base64.b64encode(data).decode()}'>"


def _picture(picture: Picture) -> str:
    caption = html.escape(picture.caption)
    return f"<figure>{_image(picture.jpeg, picture.caption, 'jpeg')}<figcaption>{caption}</figcaption></figure>"


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"


def _finding(finding: Finding) -> str:
    word, style = ("met", "ok") if finding.passed else ("missed", "missed")
    return _row(word, finding.wanted, finding.measured).replace("<td>", f"<td class='{style}'>", 1)


def _turn(at: float, who: str, text: str, note: str) -> str:
    words = f"{html.escape(text)} <span class='note'>{html.escape(note)}</span>"
    return f"<div class='turn {who}'><span class='time'>{at:.1f} s</span><b>{who}</b><span>{words}</span></div>"
