"""Brings the nodes to the wanted states step by step, whatever happens on the way. No ROS in here.

After every event the plan is made anew from what is present, and each step that is ready is launched. That one rule
covers a mode change, a request that supersedes another half-way, a node that fails, and one that comes back from a
crash and has to catch up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from bbia_ros.manager.modes import ACTIVE, INACTIVE, UNCONFIGURED, NodeRule, ParameterValue
from bbia_ros.manager.plan import ACTIVATE, DEACTIVATE, SET_PARAMETERS, TRANSITIONS, Plan, Step, make_plan

Parameters = Mapping[str, Mapping[str, ParameterValue]]
Answer = Callable[[bool, str], None]


@dataclass
class Request:
    """What somebody asked for and waits for.

    Attributes:
        label: how to call it in messages, for example "mode 'watch'".
        wanted: primary state per node.
        answer: called once with ok and a message, when it is settled, superseded or out of time.
        parameters: per node, to be set on the way.
        strict: launch nothing more after the first failure.
        timeout_s: [s] after which the answer is no; what was begun goes on.
    """

    label: str
    wanted: Mapping[str, str]
    answer: Answer
    parameters: Parameters = field(default_factory=dict)
    strict: bool = False
    timeout_s: float = 120.0


class Reconciler:
    """Owns what is wanted, what is held back, what is in flight and what failed.

    Does not own how a step is carried out: `launch(step, parameters)` starts it, and `finished` must be called exactly
    once for it, later or at once, unless the node is reported `lost` before.
    """

    def __init__(
        self,
        rules: Mapping[str, NodeRule],
        launch: Callable[[Step, Mapping[str, ParameterValue]], None],
        clock: Callable[[], float],
        appear_timeout_s: float = 10.0,
    ) -> None:
        self.present: dict[str, str] = {}
        self.wanted: dict[str, str] = {}
        self.held: dict[str, str] = {}
        self.failures: dict[str, str] = {}
        self.in_flight: dict[str, Step] = {}
        self.transitions = 0
        self._rules = rules
        self._launch = launch
        self._clock = clock
        self._appear_timeout_s = appear_timeout_s
        self._absent: dict[str, str] = {}
        self._appear_deadline = clock() + appear_timeout_s
        self._parameters: dict[str, Mapping[str, ParameterValue]] = {}
        self._pending_parameters: dict[str, Mapping[str, ParameterValue]] = {}
        self._request: Request | None = None
        self._began = 0.0
        self._steps_before = 0
        self._advancing = False

    @property
    def goals(self) -> dict[str, str]:
        """The state that each node is to be brought to: what is wanted, or inactive while it is held."""
        return {
            node: INACTIVE if state == ACTIVE and node in self.held else state for node, state in self.wanted.items()
        }

    @property
    def settled(self) -> bool:
        """Nothing in flight and every node where it should be."""
        return not self.in_flight and not self.unreached()

    @property
    def busy(self) -> bool:
        """Somebody waits for an answer, or something is in flight."""
        return self._request is not None or bool(self.in_flight)

    def pursue(self, request: Request) -> None:
        """Makes `request` the one that counts; the one before is answered as superseded."""
        old, self._request = self._request, request
        self.wanted = {**self.wanted, **request.wanted}
        self.held = {node: why for node, why in self.held.items() if self.wanted.get(node) == ACTIVE}
        for node, values in request.parameters.items():
            self._parameters[node] = values
            self._pending_parameters[node] = values
        self.failures.clear()
        self._began = self._clock()
        self._steps_before = self.transitions
        self._appear_deadline = self._began + self._appear_timeout_s
        if old is not None:
            old.answer(False, f"superseded by {request.label}")
        self.advance()

    def hold(self, nodes: Iterable[str], reason: str) -> None:
        """Keeps nodes inactive though they are wanted active, through restarts and requests, until `let_go`.

        Args:
            nodes: with all that need them.
            reason: a clause for their status.
        """
        for node in nodes:
            self.held[node] = reason
        self.advance()

    def let_go(self, nodes: Iterable[str]) -> None:
        """Has held nodes follow again what is wanted of them."""
        for node in nodes:
            if self.held.pop(node, None) is not None:
                self.failures.pop(node, None)
        self.advance()

    def abandon(self, reason: str) -> None:
        """Answers whoever still waits."""
        request, self._request = self._request, None
        if request is not None:
            request.answer(False, reason)

    def returned(self, node: str, state: str) -> None:
        """A node is there, for the first time or again; it catches up with what is wanted of it."""
        self.present[node] = state
        self._absent.pop(node, None)
        self.failures.pop(node, None)
        if node in self._parameters:
            self._pending_parameters[node] = self._parameters[node]
        self.advance()

    def lost(self, node: str, reason: str) -> None:
        """A node is gone or does not react; `reason` is a clause like "its process ended"."""
        self.present.pop(node, None)
        self.in_flight.pop(node, None)
        self._absent[node] = reason
        self.failures.pop(node, None)
        self._appear_deadline = max(self._appear_deadline, self._clock() + self._appear_timeout_s)
        self.advance()

    def observed(self, node: str, state: str) -> None:
        """A node was asked and is in `state`, without any step of ours: somebody else moved it, or it fell.

        Nobody's hand is fought: the node is left there until the next request, and its status says so.
        """
        if node in self.in_flight or node not in self.present or self.present[node] == state:
            return
        self.present[node] = state
        if state == ACTIVE:
            self.held.pop(node, None)  # somebody wants it more than we want its memory
        wanted = self.goals.get(node, state)
        if state == wanted:
            self.failures.pop(node, None)
        else:
            self.failures[node] = f"is {state}, though not by the manager; {wanted} is wanted"
        self.advance()

    def finished(self, step: Step, error: str = "", state: str = "") -> None:
        """A launched step has ended.

        Args:
            step: as launched.
            error: a clause saying why it failed; empty: success.
            state: the node's primary state now, if it is known.
        """
        if self.in_flight.get(step.node) != step:
            return
        del self.in_flight[step.node]
        if state in (UNCONFIGURED, "inactive", ACTIVE):
            self.present[step.node] = state
        elif not error and step.action in TRANSITIONS:
            self.present[step.node] = TRANSITIONS[step.action][1]
        if error:
            self.failures[step.node] = f"{step.action} failed: {error}"
        elif step.action == SET_PARAMETERS:
            self._pending_parameters.pop(step.node, None)
        else:
            self.transitions += 1
        self.advance()

    def tick(self) -> None:
        """To be called a few times a second: deadlines."""
        now = self._clock()
        if now >= self._appear_deadline:
            for node in self._awaited():
                self.failures[node] = self._absent.get(node, "is not running: no sign of life yet")
        request = self._request
        if request is not None and now - self._began >= request.timeout_s:
            self._request = None
            waiting = "; ".join(f"{node}: {why}" for node, why in self.unreached().items())
            request.answer(False, f"{request.label}: not reached within {request.timeout_s:g} s: {waiting}")
        self.advance()

    def problem(self, node: str) -> str:
        """What keeps a node from where it should be; empty: nothing, or it is on its way."""
        if node in self.failures:
            return self.failures[node]
        if node not in self.present:
            return self._absent.get(node, "is not running")
        return self.held.get(node, "")

    def advance(self) -> None:
        """Launches what is ready, and answers when nothing is left to do."""
        if self._advancing:
            return
        self._advancing = True
        try:
            plan = self._plan()
            while launchable := [step for step in plan.ready() if self._may_start(step)]:
                for step in launchable:
                    self.in_flight[step.node] = step
                    self._launch(step, self._pending_parameters.get(step.node, {}))
                plan = self._plan()
        finally:
            self._advancing = False
        request = self._request
        if request is None or self.in_flight:
            return
        if self._awaited() and not (request.strict and self.failures):
            return
        self._request = None
        unreached = self.unreached()
        if unreached:
            reasons = "; ".join(f"{node}: {why}" for node, why in unreached.items())
            request.answer(False, f"{request.label} is incomplete: {reasons}")
        else:
            count, seconds = self.transitions - self._steps_before, self._clock() - self._began
            without = [f"{node} ({why})" for node, why in self.held.items()]
            but = f", without {', '.join(without)}" if without else ""
            request.answer(True, f"{request.label}: reached with {count} transitions in {seconds:.2f} s{but}")

    def _plan(self) -> Plan:
        able = {node: state for node, state in self.present.items() if node not in self.failures}
        return make_plan(able, self.goals, self._rules, self._pending_parameters)

    def _may_start(self, step: Step) -> bool:
        if step.node in self.in_flight:
            return False
        if self._request is not None and self._request.strict and self.failures:
            return False
        rule = self._rules[step.node]
        if step.action == ACTIVATE:
            return all(self.present.get(need) == ACTIVE for need in rule.needs) and not (
                rule.earlier & self.in_flight.keys()
            )
        if step.action == DEACTIVATE:
            return not self._active_dependants(step.node) and not any(
                step.node in self._rules[other].earlier for other in self.in_flight
            )
        return True

    def _active_dependants(self, node: str) -> list[str]:
        return [
            other for other, rule in self._rules.items() if node in rule.needs and self.present.get(other) == ACTIVE
        ]

    def _awaited(self) -> list[str]:
        """Nodes that are not there, but may still come."""
        return [node for node in self.wanted if node not in self.present and node not in self.failures]

    def unreached(self) -> dict[str, str]:
        """Why each node that is not as wanted is not."""
        reasons: dict[str, str] = {}
        for node, wanted in self.goals.items():
            if node in self.failures:
                reasons[node] = self.failures[node]
            elif node not in self.present:
                reasons[node] = self._absent.get(node, "is not running")
            elif self.present[node] != wanted or node in self._pending_parameters:
                if node in self.in_flight:
                    reasons[node] = f"still in '{self.in_flight[node].action}'"
                    continue
                others = self._active_dependants(node)
                if wanted == ACTIVE:
                    others = [need for need in self._rules[node].needs if self.present.get(need) != ACTIVE]
                reasons[node] = f"waits for {', '.join(others)}" if others else "not begun"
        return reasons
