"""Runs a soak from start to summary."""

from __future__ import annotations

import re
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console

from bbia_ros.bringup import Options, Stack
from bbia_ros.domain import use_private_graph
from bbia_ros.manager.modes import load_modes
from bbia_ros.manager.view import render_status
from bbia_ros.resources import shared_folder
from bbia_ros.soak import verdicts as judged
from bbia_ros.soak.actions import Chooser
from bbia_ros.soak.callers import Callers
from bbia_ros.soak.chaos import Chaos, Strike
from bbia_ros.soak.fit import Line
from bbia_ros.soak.health import Health, Trouble
from bbia_ros.soak.observer import Observer
from bbia_ros.soak.record import Record, RecordFailed
from bbia_ros.soak.report import save, show
from bbia_ros.soak.rests import CYCLES, HOUSEHOLD, Rest, load_rests
from bbia_ros.soak.scenario import CYCLE_TASKS, LINES, Scenario, Stopped, undisturbed
from bbia_ros.soak.topics import KEPT, MOTION, RESIDENCIES, STATUS, TOPICS
from bbia_ros.soak.verdicts import Verdict
from bbia_ros.speech.lines import synthesize_lines
from bbia_ros.stage.interruption import Interruption
from bbia_ros.stage.node import Stage
from bbia_ros.stage.view import StageView

READY_TIMEOUT_S = 90.0
"""For the first start, which may compile the scene [s]."""
STRIKES = 20_000
"""Times of strikes that are kept, for the motion loop's figures."""
LOGGED = 300
"""Lines of errors that go into the record."""
_ERROR = re.compile(r"^\[(ERROR|FATAL)\]")
_CRASH = re.compile(r"^Traceback \(most recent call last\)|^Fatal Python error|terminate called|Segmentation fault")


@dataclass(frozen=True)
class SoakOptions:
    """What a user chooses about a soak.

    Attributes:
        out: folder in which the run's folder is made.
        minutes: of random use; 0: none.
        cycles: sleep-converse cycles before that; 0: none.
        chaos: kill, stop and starve workers during the random use.
        processes: kill processes with nodes too, now and then.
        seed: of everything that is drawn at random.
        profile: of the stack.
        composition: split, single or none.
        domain: ROS domain; None: a private one.
    """

    out: Path
    minutes: float = 0.0
    cycles: int = 0
    chaos: bool = False
    processes: bool = False
    seed: int = 0
    profile: str = "lite"
    composition: str = "split"
    domain: int | None = None


def run_soak(
    options: SoakOptions, console: Console | None = None, interruption: Interruption | None = None
) -> tuple[list[Verdict], Path]:
    """Runs and judges.

    Returns:
        The verdicts, and the folder with soak.jsonl, summary.json, soak.png and log/.

    Raises:
        BringupError: the stack could not be started.
        ResidencyError: the visitor's lines could not be made.
        RecordFailed: the record could not be written; the stack has been ended.
        KeyboardInterrupt: everything has been ended, and what was found until then is in the folder.
    """
    console = console or Console()
    folder = options.out / time.strftime("soak-%Y%m%d-%H%M%S")
    folder.mkdir(parents=True)
    soak = Soak(options, folder, console, interruption or Interruption())
    try:
        soak.perform()
    except (Stopped, RecordFailed) as stopped:
        soak.conclude()
        raise (stopped.cause if isinstance(stopped, Stopped) else stopped) from None
    except KeyboardInterrupt:
        with soak.interruption.held():
            soak.conclude()
        console.print(f"interrupted; what was found until then is in {folder}", soft_wrap=True, highlight=False)
        raise
    return soak.conclude(), folder


class Soak:
    """One soak.

    Owns: the stack, the stage, the record, the observer and the chaos, while `perform` runs.
    """

    def __init__(self, options: SoakOptions, folder: Path, console: Console, interruption: Interruption) -> None:
        self.options, self.folder, self.interruption = options, folder, interruption
        self._console = console
        self._view: StageView | None = None
        table = load_modes(shared_folder("config") / "modes.yaml")
        self._health = Health({name: mode.states for name, mode in table.modes.items()})
        self._callers = Callers()
        self._record = Record(folder / "soak.jsonl")
        self._strikes: deque[float] = deque(maxlen=STRIKES)
        self._tracebacks = self._logged = 0
        self._restarts_expected = self._killed = 0
        self._left: list[str] = []
        self._doing = ""
        self._observer: Observer | None = None
        self._scenario: Scenario | None = None
        self._chaos: Chaos | None = None
        self._stage: Stage | None = None

    def perform(self) -> None:
        """Brings the stack up, plays, brings it down."""
        options = self.options
        use_private_graph(options.domain)
        self._console.print("preparing the visitors' lines")
        lines = dict(zip(LINES, synthesize_lines(list(LINES)), strict=True))
        self._record.write("begin", **{**asdict(options), "out": str(options.out)})
        random = Random(options.seed)
        opened = ExitStack()
        try:
            with self.interruption.held():
                opened.callback(self._record.close)
                stack = self._open(opened)
            stack.wait_ready(READY_TIMEOUT_S)
            self.note(f"every node is in its state; seed {options.seed}")
            with self.interruption.held():
                scenario = self._observe(stack, lines, opened)
            for number in range(1, options.cycles + 1):
                self._doing = f"cycle {number} of {options.cycles}"
                scenario.cycle(number)
            if options.minutes > 0:
                self._household(scenario, random, opened)
        finally:
            with self.interruption.held():
                opened.close()
                if self._observer is not None:
                    self._left = list(self._observer.left_behind())

    def conclude(self) -> list[Verdict]:
        """Judges what was recorded, shows it and writes it down."""
        parts = {part: load_rests(self._record.path, part) for part in (CYCLES, HOUSEHOLD)}
        verdicts: list[Verdict] = []
        slopes: dict[str, dict[str, Line]] = {}
        for part, wanted in ((CYCLES, self.options.cycles > 1), (HOUSEHOLD, self.options.minutes > 0)):
            if wanted:
                verdicts += judged.judge_memory(part, parts[part], self._killed)
                slopes[part] = judged.process_slopes(parts[part])
        if self.options.cycles:
            verdicts += judged.judge_use(parts[CYCLES], CYCLE_TASKS)
        outcomes = list(self._callers.outcomes)
        if self.options.chaos:
            verdicts.append(Verdict("chaos.strikes", "chaos: strikes", str(self._chaos.struck if self._chaos else 0)))
            verdicts += judged.judge_outcomes(outcomes)
        if self._observer is not None:
            verdicts += judged.judge_loop(list(self._observer.loop), list(self._strikes))
            verdicts.append(Verdict("memory.peak", "largest total PSS", f"{self._observer.peak / 1e6:.0f} MB"))
        retried = self._scenario.retried if self._scenario else 0
        verdicts += judged.judge_health(self._health.troubles, self._tracebacks, retried)
        verdicts += judged.judge_end(self._left, self._killed)
        show(self._console, verdicts, slopes)
        facts = {"options": {**asdict(self.options), "out": str(self.options.out)}, "date": time.strftime("%F %T")}
        title = f"{self.options.cycles} cycles, {self.options.minutes:g} min, seed {self.options.seed}"
        try:
            save(self.folder, self._record.path, title, facts, verdicts, slopes, self._health.troubles, outcomes)
        except OSError as error:
            self._console.print(f"the summary could not be written: {error}", style="red", markup=False)
        return verdicts

    def note(self, text: str) -> None:
        """A line for the terminal."""
        if self._view is not None:
            self._view.note(text)

    # ---------------------------------------------------------------------------------------------------------------

    def _open(self, opened: ExitStack) -> Stack:
        options = self.options
        stack_options = Options(
            mode="sleep", driver="mujoco", profile=options.profile, composition=options.composition,
            parameters={"dialogue": {"memory.folder": str(self.folder / "memory")}},
        )  # fmt: skip
        self._stage = stage = Stage(stack_options.namespace, TOPICS, keep=KEPT, on_message=self._heard)
        opened.callback(stage.close)
        self._view = opened.enter_context(
            StageView(
                lambda: render_status(stage.last(STATUS), processes=False), self._footer, self._console, "the soak"
            )
        )
        self.note("bringing the stack up")
        stack = Stack(stack_options, log_folder=self.folder / "log", on_line=self._line, on_event=self._event)
        self.interruption.impatient = stack.kill
        opened.callback(stack.stop)
        opened.callback(self.note, "bringing the stack down")
        stack.start()
        stack.client.wait_a_moment(0.0)  # made here, where it is sure to be closed
        return stack

    def _observe(self, stack: Stack, lines: dict[str, Path], opened: ExitStack) -> Scenario:
        self._observer = observer = Observer(
            lambda: stack.processes, self._record, self._callers, self._health, self._on_trouble
        )
        opened.callback(observer.close)
        assert self._stage is not None
        self._scenario = Scenario(
            self._stage, lines, observer.measure,
            note=self._did, rested=self._rested, trouble=self._report, now=self._record.now,
            failed=lambda: observer.error or self._record.failed or (self._chaos.error if self._chaos else None),
        )  # fmt: skip
        observer.start()
        return self._scenario

    def _household(self, scenario: Scenario, random: Random, opened: ExitStack) -> None:
        options = self.options
        held: Any = undisturbed
        assert self._observer is not None
        if not options.cycles:
            self._doing = "warming up"
            scenario.converse("warm-up")  # the first use of everything: what it leaves is no leak
        if options.chaos:
            self._chaos = chaos = Chaos(
                Random(random.random()), self._observer.members, self._strike, processes=options.processes
            )
            opened.callback(chaos.close)
            held = chaos.held
            chaos.start()
        self._doing = f"{options.minutes:g} minutes of random use"
        until = self._record.now() + 60.0 * options.minutes
        scenario.household(Chooser(random, LINES), until, held)
        if self._chaos is not None:
            self._chaos.close()

    # Told from other threads ---------------------------------------------------------------------------------------

    def _heard(self, topic: str, message: Any) -> None:
        if topic in RESIDENCIES:
            self._callers.heard(message, time.monotonic())
        elif self._observer is not None and topic == MOTION:
            self._observer.felt(message)
        elif self._observer is not None and topic == STATUS:
            self._observer.saw(message)
            if self._scenario is not None:
                self._scenario.saw(message)

    def _strike(self, strike: Strike) -> None:
        names = self._callers.names().get(strike.victim.pid, f"{strike.victim.kind} of {strike.victim.name}")
        self._strikes.append(self._record.now())
        outcomes = self._callers.struck(strike, time.time())
        in_use = any(outcome.in_use for outcome in outcomes)
        self._record.write("strike", what=strike.kind, victim=names, pid=strike.victim.pid,
                           duration=round(strike.duration, 2), in_use=in_use)  # fmt: skip
        if strike.victim.kind == "process":
            self._restarts_expected += 1
            self._killed += 1
        lasting = f" for {strike.duration:.1f} s" if strike.duration else ""
        self.note(f"CHAOS: {strike.kind} {names} (pid {strike.victim.pid}){lasting}")

    def _line(self, process: str, line: str) -> None:
        crash = bool(_CRASH.search(line))
        self._tracebacks += crash
        if (crash or _ERROR.match(line)) and self._logged < LOGGED:
            self._logged += 1
            self._try_write("log", process=process, line=line[:500])

    def _event(self, process: str, event: str) -> None:
        if "started again" in event:
            self.note(f"{process}: {event}")
        elif self._restarts_expected:
            self._restarts_expected -= 1
            self.note(event)
        else:
            self._report(event)

    def _rested(self, rest: Rest) -> None:
        sample = rest.sample
        self._record.write("rest", **rest.plain())
        state = "" if rest.settled else ", NOT SETTLED"
        self.note(
            f"rest {rest.number}: {sample.pss / 1e6:.1f} MB, {sample.workers} workers, {sample.threads} threads, "
            f"{sample.fds} descriptors, {sample.memfds}+{sample.shm} shared{state}"
        )

    def _did(self, what: str, failure: str, began: float) -> None:
        self._record.write("action", what=what, failure=failure, began=round(began, 3))
        self.note(f"{what}{': ' if failure else ''}{failure}")

    def _report(self, what: str) -> None:
        now = self._record.now()
        trouble = self._health.report(what, now)
        self._try_write("trouble", what=what, since=round(now, 3))
        self._on_trouble(trouble)

    def _try_write(self, kind: str, **fields: Any) -> None:
        """For threads that others depend on: that the record has failed is found by those who sample."""
        try:
            self._record.write(kind, **fields)
        except RecordFailed:
            pass

    def _on_trouble(self, trouble: Trouble) -> None:
        self.note(f"MISSED: {trouble.what}")

    def _footer(self) -> str:
        minutes, seconds = divmod(int(self._record.now()), 60)
        sample = self._observer.sample if self._observer else None
        memory = f"{sample.pss / 1e6:.0f} MB" if sample else "no sample yet"
        strikes = f"{self._chaos.struck} strikes, " if self._chaos else ""
        troubles = f"{len(self._health.troubles)} troubles"
        return f"{self._doing or 'starting'}, {minutes}:{seconds:02d}, {memory}, {strikes}{troubles}"
