"""Runs the demonstration from start to report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bbia_ros.bringup import Options, Stack
from bbia_ros.demo.bag import BagRecorder
from bbia_ros.demo.film import read_track, spoken_tracks
from bbia_ros.demo.filming import Film, make_film
from bbia_ros.demo.memory import MemoryMeter, Sample
from bbia_ros.demo.play import LINES, Play, Run
from bbia_ros.demo.report import write_report
from bbia_ros.demo.topics import TOPICS
from bbia_ros.domain import use_private_graph
from bbia_ros.manager.view import render_status
from bbia_ros.residency.errors import ResidencyError
from bbia_ros.speech.lines import synthesize_lines
from bbia_ros.stage.interruption import Interruption
from bbia_ros.stage.node import Stage
from bbia_ros.stage.view import StageView

READY_TIMEOUT_S = 90.0
"""For the first start, which may compile the scene [s]."""


@dataclass(frozen=True)
class DemoOptions:
    """What a user chooses about the demonstration.

    Attributes:
        out: folder in which the run's folder is made.
        profile: of the stack.
        composition: split, single or none.
        film: whether the film is rendered afterwards.
        domain: ROS domain; None: a private one.
    """

    out: Path
    profile: str = "lite"
    composition: str = "split"
    film: bool = True
    domain: int | None = None


def run_demo(
    options: DemoOptions, console: Console | None = None, interruption: Interruption | None = None
) -> tuple[Run, Path]:
    """Plays, records, films and reports.

    Args:
        options: what was chosen.
        console: for the live view; None: standard output.
        interruption: who takes Ctrl-C; None: nobody.

    Returns:
        What was found out, and the folder that holds report.html, demo.mp4, figures.json, bag/ and log/.

    Raises:
        BringupError: the stack could not be started; the text says why.
        ResidencyError: the visitor's lines could not be made.
        KeyboardInterrupt: everything has been ended; after a whole play the report is there, without a film.
    """
    console = console or Console()
    interruption = interruption or Interruption()
    folder = options.out / time.strftime("demo-%Y%m%d-%H%M%S")
    folder.mkdir(parents=True)
    try:
        visit = play_visit(options, folder, console, interruption)
        film = None
        try:
            film = _film(folder, visit, console) if options.film else None
        finally:
            pictures = film.pictures if film else []
            name = film.path.name if film else ""
            with interruption.held():
                write_report(folder / "report.html", visit.run, visit.history, visit.samples, pictures, name)
    except KeyboardInterrupt:
        console.print(f"interrupted; what was recorded until then is in {folder}", soft_wrap=True, highlight=False)
        raise
    return visit.run, folder


@dataclass(frozen=True)
class Visit:
    """A play that is over.

    Attributes:
        run: findings and figures.
        history: the stage's messages by topic.
        samples: of the stack's memory.
        lines: WAV file of each line.
    """

    run: Run
    history: Mapping[str, Sequence[Any]]
    samples: Sequence[Sample]
    lines: Mapping[str, Path]


def play_visit(options: DemoOptions, folder: Path, console: Console, interruption: Interruption | None = None) -> Visit:
    """Plays and records.

    Args:
        options: what was chosen.
        folder: for bag/, log/ and the loudspeaker's recording; it must exist.
        console: for the live view.
        interruption: who takes Ctrl-C; None: nobody.

    Raises:
        BringupError: the stack could not be started; the text says why.
        ResidencyError: the visitor's lines could not be made.
    """
    use_private_graph(options.domain)
    console.print("preparing the visitor's lines")
    lines = dict(zip(LINES, synthesize_lines(list(LINES.values())), strict=True))
    stack_options = Options(
        mode="sleep",
        driver="mujoco",
        profile=options.profile,
        composition=options.composition,
        parameters={
            "driver": {"audio.speaker_recording": str(folder / "speaker.wav")},
            "dialogue": {"memory.folder": str(folder / "memory")},  # the visit is nobody's past
        },
    )
    interruption = interruption or Interruption()
    opened = ExitStack()
    try:
        with interruption.held():
            stage = Stage(stack_options.namespace, TOPICS)
            opened.callback(stage.close)
            bag = BagRecorder(folder / "bag", {stage.absolute(topic): topic for topic in TOPICS if topic.recorded})
            opened.callback(bag.close)
            stage.record(bag)
            view = opened.enter_context(
                StageView(
                    lambda: render_status(stage.last("manager/status"), processes=False),
                    lambda: f"mood: {_mood(stage)}",
                    console,
                )
            )
            view.note("bringing the stack up")
            began = time.monotonic()
            stack = Stack(stack_options, log_folder=folder / "log")
            interruption.impatient = stack.kill
            opened.callback(stack.stop)
            opened.callback(view.note, "bringing the stack down")
            stack.start()
            stack.client.wait_a_moment(0.0)  # made here, where it is sure to be closed
        stack.wait_ready(READY_TIMEOUT_S)
        up_s = time.monotonic() - began
        view.note(f"every node is in its state after {up_s:.1f} s")
        with interruption.held():
            meter = MemoryMeter(stack.pids)
            opened.callback(meter.close)
        play = Play(stage, meter, lines, view.note)
        play.figure("operations.up_s", up_s, "s")
        run = play.perform()
    finally:
        with interruption.held():
            opened.close()
    if bag.error or bag.dropped:
        play.expect("bag", "everything is recorded", bag.error or f"{bag.dropped} messages were dropped", False)
    run.figures["memory.peak_mb"] = (max(sample.total_bytes for sample in meter.samples) / 1e6, "MB")
    return Visit(run, stage.history, list(meter.samples), lines)


def _film(folder: Path, visit: Visit, console: Console) -> Film | None:
    sound = [read_track(visit.lines[key], start_s) for key, (start_s, _) in visit.run.said.items()]
    sound += spoken_tracks(visit.history["audio/speaker"])
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("rendering the film", total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        try:
            return make_film(folder / "demo.mp4", visit.run, visit.history, sound, show)
        except (ResidencyError, OSError) as error:
            console.print(f"[red]no film: {error}[/red]")
            return None


def _mood(stage: Stage) -> str:
    feeling: Any = stage.last("emotion/robot")
    return f"{feeling.label} {feeling.intensity:.1f}" if feeling else "unknown"
