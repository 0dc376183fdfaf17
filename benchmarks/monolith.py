"""The way robot programs usually work against ours: one process that keeps everything, and torch engines in a worker.

The baseline is `monolith_process`: it loads everything once at its start and does the demonstration's tasks. Ours with
the same engines is the whole stack in the profile `torch`, which plays the demonstration: objects, chat and text
classification share one worker, the others have their own; both sides run the same chat model in bfloat16. Memory is
PSS from /proc.

Run with `bbia bench monolith`, or alone: `python -m benchmarks.monolith [--quick]`. Needs `make torch`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Figure, figure, main
from benchmarks.sampling import Sampler, mean

if TYPE_CHECKING:
    from bbia_ros.demo.run import Visit

LABELS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
"""Ekman's six and neutral, as the usual models for English have them."""
TORCH_TASKS = ("objects", "chat", "text_emotion")
START_S = 600.0
_MB = 1e6


@dataclass
class Course:
    """The baseline's memory.

    Attributes:
        steps: (event, PSS after it [MB]).
        series: (time [s], PSS [byte]) from when everything was loaded.
    """

    steps: list[tuple[str, float]] = field(default_factory=list)
    series: list[tuple[float, float]] = field(default_factory=list)


def figures(quick: bool) -> list[Figure]:
    """Runs the baseline, then the stack; `quick` says two lines to the baseline and leaves the stack out."""
    from bbia_ros.demo.play import LINES
    from bbia_ros.dialogue.gguf_folder import ensure_folder
    from bbia_ros.residency.catalog import resolve
    from bbia_ros.residency.torch_device import keep_quiet
    from bbia_ros.speech.lines import synthesize_lines

    keep_quiet()
    lines = [str(path) for path in synthesize_lines(list(LINES.values()))]
    chat = ensure_folder(resolve("smollm2-135m", "chat"))
    with tempfile.TemporaryDirectory(prefix="bbia-bench-") as folder:
        classifier = Path(folder) / "classifier"
        make_classifier(classifier)
        course = run_monolith(chat, classifier, lines[: 2 if quick else None])
        found = report(course)
        if not quick:
            found += in_workers(classifier, Path(folder))
    return found


def make_classifier(folder: Path) -> None:
    """A text classification model of the usual labels: MiniLM's encoder with a head of random weights.

    Made in a process of its own, so that this one stays small.
    """
    from bbia_ros.residency.catalog import resolve

    program = f"""
import torch
from transformers import AutoTokenizer, BertForSequenceClassification
torch.manual_seed(0)
labels = {LABELS!r}
encoder = {str(resolve("minilm-l6-v2", "text_emotion"))!r}
model = BertForSequenceClassification.from_pretrained(
    encoder, num_labels=len(labels), id2label=dict(enumerate(labels)), label2id={{l: i for i, l in enumerate(labels)}})
model.save_pretrained({str(folder)!r})
AutoTokenizer.from_pretrained(encoder).save_pretrained({str(folder)!r})
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=START_S)


def run_monolith(chat: Path, classifier: Path, lines: list[str]) -> Course:
    """Runs the baseline to its end and samples it.

    Raises:
        RuntimeError: it ended too early; the text has its last words.
    """
    course = Course()
    command = [sys.executable, "-m", "benchmarks.monolith_process", str(chat), str(classifier), *lines]
    with tempfile.TemporaryFile("w+") as errors, _child(command, errors) as process:
        ready = time.monotonic()
        with Sampler(lambda: {"monolith": process.pid}, period_s=0.5) as sampler:
            for line in process.stdout or ():
                if not line.startswith("{"):
                    continue
                event = json.loads(line)
                course.steps.append((event["event"], event["pss_mb"]))
                if event["event"] == "ready":
                    ready = time.monotonic()
                if event["event"] == "done":
                    break
            else:
                errors.seek(0)
                last = course.steps[-1][0] if course.steps else "its start"
                raise RuntimeError(f"the baseline ended with {process.wait()} after '{last}': {errors.read()[-2000:]}")
        course.series = [(when, size) for when, size in sampler.series(lambda s: s.total_pss) if when >= ready]
    return course


def report(course: Course) -> list[Figure]:
    """Figures of the baseline."""
    loads = course.steps[: [event for event, _ in course.steps].index("ready")]
    grown = [f"{event} {size - before:+.0f}" for (event, size), before in zip(loads, [0.0, *(s for _, s in loads)])]  # noqa: B905
    peak = max([size for _, size in course.series] + [_MB * size for _, size in course.steps])
    what = "one process that loads everything once and keeps it"
    return [
        figure("monolith.peak_mb", f"{what}: peak PSS", peak / _MB, "MB", note=", ".join(grown)),
        figure("monolith.mean_mb", "the same: mean from when it was loaded", mean(course.series) / _MB, "MB"),
    ]


def in_workers(classifier: Path, folder: Path) -> list[Figure]:
    """The stack in the profile torch with text classification in the shared worker too, playing the demonstration."""
    from rich.console import Console

    from bbia_ros.demo.run import DemoOptions, play_visit

    profile = write_profile(folder / "torch.yaml", classifier)
    return report_workers(play_visit(DemoOptions(out=folder, profile=str(profile)), folder, Console()))


def report_workers(visit: Visit) -> list[Figure]:
    """Figures of the stack with torch engines. Without all of them in memory there is no peak to compare."""
    statuses = [heard.message for heard in visit.history["manager/status"]]
    used = [model for status in statuses for model in status.models if model.pid and model.task in TORCH_TASKS]
    pids = {model.pid for model in used}
    absent = [task for task in TORCH_TASKS if task not in {model.task for model in used}]
    note = f"never loaded: {', '.join(absent)}" if absent else f"{len(pids)} torch worker(s) over the visit"
    peak = None if absent else max(sample.total_bytes for sample in visit.samples) / _MB
    average = mean([(sample.stamp_s, sample.total_bytes) for sample in visit.samples]) / _MB
    left = pids & set(visit.samples[-1].processes)
    growth = visit.run.figures.get("memory.sleep_growth_mb", (None, "MB"))[0]
    what = "the stack with torch engines in one worker"
    return [
        figure("monolith.workers_peak_mb", f"{what}: peak PSS", peak, "MB", note=note),
        figure("monolith.workers_mean_mb", "the same: mean over the demonstration", average, "MB"),
        figure("monolith.workers_left", "torch workers left after sleep", float(len(left)), "", goal="<= 0"),
        figure("monolith.workers_growth_mb", "PSS in sleep after the visit minus before", growth, "MB", goal="<= 5"),
    ]


def write_profile(path: Path, classifier: Path) -> Path:
    """The profile torch, with text classification in its worker."""
    import yaml

    from bbia_ros.composition import profile_path

    profile: dict[str, Any] = yaml.safe_load(profile_path("torch").read_text(encoding="utf-8"))
    profile["/**/emotion"] = {
        "ros__parameters": {
            "text.engine": "transformers",
            "text.model": str(classifier),
            "text.device": "auto",
            "text.worker": "torch",
            "text.declared_mb": 700.0,
        }
    }
    path.write_text(yaml.safe_dump(profile), encoding="utf-8")
    return path


@contextlib.contextmanager
def _child(command: list[str], errors: Any) -> Iterator[subprocess.Popen[str]]:
    # Installed, this package is on our own path only. Last, so that nothing that lies beside it hides a package.
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(Path(__file__).parents[1]))))
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    raise SystemExit(main(figures, "monolith"))
