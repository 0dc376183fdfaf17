"""What those who use a worker see of its end: when they are told, and when the model serves again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bbia_ros.soak.chaos import KILL, Strike

IN_USE_S = 2.0
"""A model whose last call ended so long ago at most counts as in use."""
ALWAYS_IN_USE = ("simulator", "camera")
"""Tasks whose workers run without being called."""
UNASKED = ("simulator", "objects", "faces", "vad")
"""Tasks that go on by themselves while their node is active: after a strike they must come back unasked."""
LOST_S = 60.0
"""A model in use that does not serve again within this time is lost [s]."""
READY = ("IDLE", "BUSY")
KEPT = 5000
"""Strikes kept for the summary; earlier ones are in the record."""


@dataclass
class Outcome:
    """What came of a strike on one model of the struck worker.

    Attributes:
        kind: of the strike.
        model: name.
        pid: of the worker that was struck.
        at: monotonic time of the strike [s].
        in_use: whether a call was in flight or had ended less than 2 s before.
        told_s: until its node knew that the worker has ended, as far as it tells [s]; None: it did not end.
        loading_s: until the model began to load again [s]; None: it did not.
        back_s: until it served again [s]; None: nobody asked for it before its node was deactivated, or it is lost.
        closed: nothing more will be seen.
        lost: it was needed and did not serve again within 60 s.
        error: what the model's node told of its last failure before.
    """

    kind: str
    model: str
    pid: int
    at: float
    in_use: bool
    told_s: float | None = None
    loading_s: float | None = None
    back_s: float | None = None
    closed: bool = False
    lost: bool = False
    node: str = ""
    task: str = ""
    error: str = ""


class Callers:
    """Follows the nodes' Residency messages; callable from any thread.

    Attributes:
        outcomes: of the strikes, oldest first.
    """

    def __init__(self) -> None:
        self.outcomes: deque[Outcome] = deque(maxlen=KEPT)
        self._models: dict[tuple[int, str], Any] = {}
        self._lock = threading.Lock()

    def names(self) -> dict[int, str]:
        """Worker's pid -> the models that it runs."""
        with self._lock:
            found: dict[int, set[str]] = {}
            for model in self._models.values():
                if model.pid:
                    found.setdefault(model.pid, set()).add(model.name)
        return {pid: " + ".join(sorted(models)) for pid, models in found.items()}

    def struck(self, strike: Strike, ros_now_s: float) -> list[Outcome]:
        """Begins to follow a strike.

        Args:
            strike: that is about to happen.
            ros_now_s: ROS time, in which models tell their last use [s].

        Returns:
            One outcome for each model of the victim; none for a worker that nobody has told of yet.
        """
        with self._lock:
            victims = [model for model in self._models.values() if model.pid == strike.victim.pid]
            for earlier in self.outcomes:
                # What comes now comes of the later strike.
                earlier.closed |= earlier.pid == strike.victim.pid and earlier.told_s is None
            new = []
            for model in victims:
                last_used = model.last_used.sec + 1e-9 * model.last_used.nanosec
                in_use = model.state == "BUSY" or ros_now_s - last_used <= IN_USE_S or model.task in ALWAYS_IN_USE
                new.append(Outcome(strike.kind, model.name, strike.victim.pid, strike.at, in_use,
                                   node=model.node, task=model.task, error=model.last_error))  # fmt: skip
            self.outcomes.extend(new)
            return new

    def heard(self, message: Any, now_s: float) -> None:
        """Takes a Residency message.

        Args:
            message: of any node.
            now_s: monotonic time [s].
        """
        with self._lock:
            for gone in [key for key in self._models if key[0] == message.pid]:
                if self._models[gone].node == message.node:
                    del self._models[gone]
            for model in message.models:
                self._models[message.pid, model.name] = model
                for outcome in self._open(model.name):
                    _follow(outcome, model, now_s)

    def saw(self, status: Any, now_s: float) -> list[Outcome]:
        """Takes a StackStatus: models of nodes that are not active need not come back.

        Args:
            status: the newest.
            now_s: monotonic time [s].

        Returns:
            Outcomes that are found lost now.
        """
        active = {node.name for node in status.nodes if node.state == "active"}
        lost = []
        with self._lock:
            for outcome in self.outcomes:
                if outcome.closed:
                    continue
                if outcome.node not in active:
                    outcome.closed = True
                elif now_s - outcome.at >= LOST_S:
                    needed = outcome.in_use and (outcome.task in UNASKED or outcome.loading_s is not None)
                    outcome.closed, outcome.lost = True, needed and outcome.told_s is not None
                    lost += [outcome] if outcome.lost else []
        return lost

    def _open(self, model: str) -> Iterable[Outcome]:
        return [outcome for outcome in self.outcomes if not outcome.closed and outcome.model == model]


def _follow(outcome: Outcome, model: Any, now_s: float) -> None:
    after = now_s - outcome.at
    if outcome.told_s is None:
        if model.pid == outcome.pid:
            return
        if outcome.kind != KILL and model.last_error == outcome.error:
            outcome.closed = True  # it survived, and was released or evicted in order
            return
        outcome.told_s = after
    if model.state == "LOADING" and outcome.loading_s is None:
        outcome.loading_s = after
    if model.state in READY and model.pid not in (0, outcome.pid):
        outcome.back_s = after
        outcome.closed = True
