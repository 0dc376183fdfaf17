"""Requests for modes and for single nodes: checked, handed to the reconciler, answered when it is settled."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from bbia_ros.manager.mode_file import ModeFile
from bbia_ros.manager.modes import ModesError, ModeTable
from bbia_ros.manager.plan import widen
from bbia_ros.manager.reconciler import Reconciler, Request
from bbia_ros.manager.relief import Relief
from bbia_ros.srv import ManageNodes, SetMode


class Host(Protocol):
    """What this needs of the manager's node."""

    active: bool
    figures: Any

    def future(self) -> Any:
        """A future that a service may answer with."""

    def complete(self, future: Any, result: Any) -> None:
        """Sets its result unless it is done."""

    def complain(self, key: str, sentence: str) -> None:
        """Warns, not too often."""

    def get_logger(self) -> Any:
        """The node's log."""


class Requests:
    """Owns the mode in effect, the one that is being entered, and those who wait for it.

    Attributes:
        mode: in effect; empty before the first.
        target: that is being entered, or in effect.
    """

    def __init__(
        self,
        host: Host,
        table: ModeTable,
        reconciler: Reconciler,
        relief: Relief,
        mode_file: ModeFile,
        changed: Callable[[], None],
    ) -> None:
        """Nothing is asked for yet.

        Args:
            host: the manager's node.
            table: of modes.
            reconciler: that brings the nodes where they should be.
            relief: told of what people ask for.
            mode_file: keeps the mode.
            changed: called when there is something new to publish.
        """
        self._host, self._table, self._reconciler, self._relief = host, table, reconciler, relief
        self._mode_file = mode_file
        self._changed = changed
        self._waiting: list[Any] = []
        self.mode = self.target = ""

    def set_mode(self, request: SetMode.Request, timeout_s: float) -> Any:
        """Answers when every node is in its state, or after `timeout_s`."""
        try:
            self._table.mode(request.mode)
        except ModesError as error:
            return SetMode.Response(message=str(error))
        answer = self._host.future()
        self.enter(request.mode, timeout_s, answer)
        return answer

    def enter(self, name: str, timeout_s: float, answer: Any = None) -> None:
        """Begins to enter a mode that there is; `answer` is completed when it is settled."""
        if answer is not None and self._waiting and self.target == name:
            self._waiting.append(answer)  # the same wish again: both are answered together
            return
        mode, waiting, began = self._table.mode(name), [] if answer is None else [answer], time.monotonic()

        def reached(ok: bool, message: str) -> None:
            if ok:
                self.mode = name
                self._host.figures.duration("mode change", time.monotonic() - began)
            self._tell(ok, message)
            for future in waiting:
                self._host.complete(future, SetMode.Response(ok=ok, message=message))
            waiting.clear()

        # pursue() answers the request before, which clears its own list.
        self.target = name
        trouble = self._mode_file.write(name)
        if trouble:
            self._host.complain("mode_file", trouble)
        self._waiting = waiting
        self._relief.mode_asked()
        self._reconciler.pursue(Request(f"mode '{name}'", mode.states, reached, mode.parameters, timeout_s=timeout_s))
        self.progress()

    def manage_nodes(self, request: ManageNodes.Request, timeout_s: float) -> Any:
        """Answers when the nodes that were named, and those that this takes along, are in their states.

        Args:
            request: what was asked for.
            timeout_s: where the request has no time of its own.
        """
        up, down = list(request.activate), list(request.deactivate)
        try:
            self._table.check_nodes([*up, *down])
            wanted = widen(up, down, {**self._reconciler.present, **self._reconciler.wanted}, self._table.rules)
        except ModesError as error:
            return ManageNodes.Response(message=str(error))
        answer = self._host.future()

        def reached(ok: bool, message: str) -> None:
            self._tell(ok, message)
            self._host.complete(answer, ManageNodes.Response(ok=ok, message=message))

        words = [f"activate {', '.join(up)}"] * bool(up) + [f"deactivate {', '.join(down)}"] * bool(down)
        self._waiting = []
        label = f"request to {' and '.join(words)}" if words else "request for no node"
        self._relief.nodes_asked(widen(up, (), {}, self._table.rules))
        timeout_s = request.timeout_s if request.timeout_s > 0 else timeout_s
        self._reconciler.pursue(Request(label, wanted, reached, {}, request.strict, timeout_s))
        self._changed()
        return answer

    def progress(self) -> None:
        """After every event: the target mode may be reached now, also after a node has come back."""
        if self.target and self.mode != self.target and self._reconciler.settled:
            states = self._table.mode(self.target).states
            if all(self._reconciler.wanted.get(node) == state for node, state in states.items()):
                self.mode = self.target
        self._changed()

    def _tell(self, ok: bool, message: str) -> None:
        if ok or not self._host.active or message.startswith("superseded"):
            self._host.get_logger().info(message)
        else:
            self._host.get_logger().error(message)
