"""Watches memory pressure and carries out what the governor decides, and remembers what was done.

The figures are read twice a second in a thread of their own: the kernel may take its time over memory.stat. Decisions
and steps run in the node's executor.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from bbia_ros.manager.governor import Governor, Settings
from bbia_ros.manager.levels import judge
from bbia_ros.manager.memo import Memo
from bbia_ros.manager.model_requests import ANSWER_S, SWAP_S
from bbia_ros.manager.modes import ACTIVE, INACTIVE
from bbia_ros.manager.pressure import Absent, ControlGroup, PressureReader, Reading, Stall
from bbia_ros.manager.reconciler import Reconciler
from bbia_ros.manager.remote import RemoteNode
from bbia_ros.manager.situation import Kind, NodeView, Situation, Step, model_views
from bbia_ros.manager.tally import tally
from bbia_ros.manager.waits import Abandoned, Waits
from bbia_ros.residency.limits import Limits

PERIOD_S = 0.5
"""Between two readings."""
EVENTS = 20
"""Steps that are remembered."""
NODE_S = 15.0
"""How long a node may take to be given up or to come back, beyond which the step counts as failed [s]."""
WAITING_S = 0.05


class Host(Protocol):
    """What this needs of the manager's node."""

    figures: Any

    def post(self, function: Callable[[], None]) -> None:
        """Runs a function in the executor's thread."""

    def make_timer(self, period_s: float, callback: Callable[[], None]) -> Any:
        """A timer for as long as the node is active."""

    def run_coroutine(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Runs a coroutine in the executor's thread."""

    def complain(self, key: str, sentence: str) -> None:
        """Warns, not too often."""

    def report_fault(self, key: str, sentence: str) -> None:
        """Something does not work."""

    def clear_fault(self, key: str) -> None:
        """It works again."""

    def get_logger(self) -> Any:
        """The node's log."""

    def get_clock(self) -> Any:
        """ROS time."""


class Relief:
    """Owns the governor, the reading thread and the record of steps.

    Does not own the reconciler and the remote nodes, through which steps are carried out.

    Attributes:
        reading: the newest figures.
        events: the newest steps with their numbers, oldest first.
    """

    def __init__(
        self,
        host: Host,
        reconciler: Reconciler,
        remotes: Mapping[str, RemoteNode],
        residencies: Mapping[str, Any],
        waits: Waits,
        changed: Callable[[], None],
        root: Path,
        memo: Memo,
    ) -> None:
        """Reads the figures once.

        Args:
            host: the manager's node.
            reconciler: knows and moves the nodes' states.
            remotes: the nodes, by name.
            residencies: last Residency message per node, kept up to date by the caller.
            waits: for pauses in coroutines.
            changed: called when there is something new to publish.
            root: see PressureReader.
            memo: where to keep what is given up.
        """
        self._memo = memo
        self._kept: list[Step] = []
        self._host, self._reconciler, self._remotes, self._waits = host, reconciler, remotes, waits
        self._residencies = residencies
        self._changed = changed
        self._reader = PressureReader(root)
        self._governor = Governor(Settings())
        self._limits = Limits()
        self._enabled = False
        self._since: dict[str, float] = {}
        self._busy = self._stopped = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pressure")
        self.events: deque[str] = deque(maxlen=EVENTS)
        self.reading = self._reader.read()
        self._tell_absent(self._reader.news(self.reading))

    def start(self) -> None:
        """Begins to read and to act."""
        self._host.make_timer(PERIOD_S, self._read_soon)

    def configure(self, settings: Settings, limits: Limits, enabled: bool) -> None:
        """What is given up when, what the models may take, and whether anything is given up at all."""
        self._governor.settings, self._limits, self._enabled = settings, limits, enabled

    def restore(self) -> None:
        """Takes up what an earlier run of the manager had given up."""
        self._kept = steps = self._memo.read()
        self._governor.restore(steps, time.monotonic())
        for step in steps:
            if step.kind is Kind.GIVE_UP:
                self._hold(step)

    def stop(self) -> None:
        """Ends the thread; what is given up stays so."""
        self._stopped = True
        self._thread.shutdown(wait=True, cancel_futures=True)

    def in_thread(self, work: Callable[[], None]) -> None:
        """Runs a function that may have to wait, in the reading thread."""
        self._thread.submit(work)

    # Requests by hand ------------------------------------------------------------------------------------------------

    def mode_asked(self) -> None:
        """A mode was asked for: requests for single nodes and variants have had their time."""
        self._governor.obey_again()

    def nodes_asked(self, nodes: Iterable[str]) -> None:
        """Somebody asked for nodes to be active: those that are held come back. None is given up until the next mode.

        Args:
            nodes: with those that they need.
        """
        asked = list(nodes)
        for node in asked:
            self._governor.spare(f"node {node}")
        self._reconciler.let_go(asked)

    def variant_asked(self, task: str) -> None:
        """Somebody chose a task's model: it is not changed until the next mode."""
        self._governor.spare(f"variant {task}")

    # What others see -------------------------------------------------------------------------------------------------

    def fill(self, pressure: Any) -> None:
        """Writes the present state into a Pressure message."""
        reading = self.reading
        stall = reading.stall if isinstance(reading.stall, Stall) else Stall(float("nan"), float("nan"))
        pressure.rung = self._governor.rung
        pressure.available_bytes = self.available_bytes
        pressure.some_avg10, pressure.full_avg10 = stall.some, stall.full
        if isinstance(reading.group, ControlGroup):
            pressure.cgroup_bytes, pressure.cgroup_limit_bytes = reading.group.used, reading.group.limit
        pressure.given_up = self._governor.given_up
        pressure.events = list(self.events)

    @property
    def available_bytes(self) -> int:
        """MemAvailable; 0 if it is not known."""
        return self.reading.available if isinstance(self.reading.available, int) else 0

    # Reading ---------------------------------------------------------------------------------------------------------

    def _read_soon(self) -> None:
        if not self._busy and not self._stopped:
            self._busy = True
            self._thread.submit(self._read)

    def _read(self) -> None:
        try:
            reading = self._reader.read()
            news = self._reader.news(reading)
        except Exception as error:  # whatever it is: a watch that ended silently would be worse
            sentence = f"memory pressure cannot be read: {type(error).__name__}: {error}"
            self._host.post(lambda: self._failed(sentence))
        else:
            self._host.post(lambda: self._take(reading, news))

    def _failed(self, sentence: str) -> None:
        self._busy = False
        self._host.report_fault("pressure", sentence)

    def _take(self, reading: Reading, news: list[Absent]) -> None:
        self._busy = False
        if self._stopped:
            return
        self.reading = reading
        self._host.clear_fault("pressure")
        self._tell_absent(news)
        situation = self._situation()
        self._host.figures.value("memory available [MB]", self.available_bytes / 1e6)
        self._host.figures.value("memory level", situation.verdict.level.name.lower())
        if self._enabled:
            step = self._governor.decide(time.monotonic(), situation)
            if step is not None:
                self._host.run_coroutine(self._carry_out(step))
        self._host.figures.value("given up", "; ".join(self._governor.given_up) or "nothing")
        self._keep()

    def _keep(self) -> None:
        """Writes down what is given up when that has changed, whoever changed it."""
        if self._governor.steps != self._kept:
            self._kept = self._governor.steps
            trouble = self._memo.write(self._kept)
            if trouble:
                self._host.complain("memo", trouble)
            self._changed()

    def _tell_absent(self, news: list[Absent]) -> None:
        for absent in news:
            logger = self._host.get_logger()
            (logger.info if absent.normal else logger.warning)(absent.reason)

    def _situation(self) -> Situation:
        reconciler = self._reconciler
        sums = tally(self._residencies.values())
        now = self._host.get_clock().now().nanoseconds * 1e-9
        present = {model.name for model in sums.models if model.pid}
        self._since = {name: self._since.get(name, now) for name in present}
        active = [node for node, state in reconciler.present.items() if state == ACTIVE]
        return Situation(
            verdict=judge(self.reading, self._governor.settings.thresholds),
            models=model_views(sums.models, now, self._since, active),
            nodes={
                node: NodeView(
                    wanted=reconciler.wanted.get(node) == ACTIVE,
                    active=reconciler.present.get(node) == ACTIVE,
                    held=node in reconciler.held,
                )
                for node in self._remotes
            },
            budget=self._limits.budget_bytes or 0,
            workers=sums.workers_bytes,
            limits=self._limits.groups,
        )

    # Steps -----------------------------------------------------------------------------------------------------------

    async def _carry_out(self, step: Step) -> None:
        try:
            ok, answer, released = await self._do(step)
        except Abandoned:
            return  # the manager was deactivated
        except Exception as error:  # the governor waits for an answer, whatever happens
            ok, answer, released = False, f"{type(error).__name__}: {error}", 0
        self._governor.ended(step, ok, time.monotonic())
        sentence = step.told(ok, answer, released)
        self.events.append(f"{time.strftime('%H:%M:%S')} {sentence}")
        self._host.figures.count("pressure steps")
        self._host.figures.value("last pressure step", sentence)
        logger = self._host.get_logger()
        (logger.warning if step.kind.down or not ok else logger.info)(sentence)
        self._changed()

    async def _do(self, step: Step) -> tuple[bool, str, int]:
        remote, nodes = self._remotes[step.node], (step.node, *step.along)
        if step.kind is Kind.UNLOAD:
            answer = await remote.command_model("unload", step.target, ANSWER_S)
            return answer.ok, answer.message, int(answer.released_bytes)
        if step.kind in (Kind.SMALLER, Kind.LARGER):
            answer = await remote.use_model(step.target, step.goal, SWAP_S)
            return answer.ok, answer.message, int(answer.released_bytes) if step.kind.down else 0
        if step.kind is Kind.GIVE_UP:
            self._hold(step)
            trouble = await self._until(nodes, INACTIVE)
            if trouble:
                self._reconciler.let_go(nodes)
            return not trouble, trouble, 0
        self._reconciler.let_go(nodes)
        trouble = await self._until((step.node,), ACTIVE)
        return not trouble, trouble, 0

    def _hold(self, step: Step) -> None:
        why = f"given up, because {step.reason}; it comes back when there is room"
        self._reconciler.hold((step.node, *step.along), why)

    async def _until(self, nodes: tuple[str, ...], state: str) -> str:
        """Waits until nodes are in a state; returns a clause if they do not get there."""
        deadline = time.monotonic() + NODE_S
        while True:
            reconciler = self._reconciler
            missing = [node for node in nodes if reconciler.present.get(node, INACTIVE) != state]
            if not missing:
                return ""
            for node in missing:
                if node in reconciler.failures:
                    return reconciler.failures[node]
                if state == INACTIVE and node not in reconciler.held:
                    return f"somebody wants {node} to be active"
                if state == ACTIVE and reconciler.goals.get(node) != ACTIVE:
                    return f"nobody wants {node} to be active any more"
            if time.monotonic() > deadline:
                return f"{', '.join(missing)} did not become {state} within {NODE_S:g} s"
            await self._waits.pause(WAITING_S)
