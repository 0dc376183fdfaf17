"""From the present states of the nodes to the wanted ones with the fewest transitions, in the right order.

A node's primary states form a chain (unconfigured, inactive, active), so the fewest transitions are the steps along
it. The order between nodes: on the way up a node follows those it needs, on the way down it goes before them.
Everything else may happen at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bbia_ros.manager.modes import ACTIVE, INACTIVE, UNCONFIGURED, ModesError, NodeRule

CONFIGURE, ACTIVATE, DEACTIVATE, CLEANUP = "configure", "activate", "deactivate", "cleanup"
SET_PARAMETERS = "set parameters"

TRANSITIONS = {
    CONFIGURE: (UNCONFIGURED, INACTIVE),
    ACTIVATE: (INACTIVE, ACTIVE),
    DEACTIVATE: (ACTIVE, INACTIVE),
    CLEANUP: (INACTIVE, UNCONFIGURED),
}
"""From and to which state each transition leads."""

_LEVEL = {UNCONFIGURED: 0, INACTIVE: 1, ACTIVE: 2}


@dataclass(frozen=True)
class Step:
    """One transition of one node, or setting its parameters."""

    node: str
    action: str

    def __str__(self) -> str:
        return f"{self.action} {self.node}"


@dataclass(frozen=True)
class Plan:
    """Steps and, for each, those that must have succeeded before it starts."""

    waits_for: Mapping[Step, frozenset[Step]] = field(default_factory=dict)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in an order that could be walked one by one."""
        ordered: list[Step] = []
        left = dict(self.waits_for)
        while left:
            ready = [step for step, waits in left.items() if not any(other in left for other in waits)]
            ordered += ready
            for step in ready:
                del left[step]
        return tuple(ordered)

    def ready(self) -> tuple[Step, ...]:
        """Steps that wait for nothing: they can all start now."""
        return tuple(step for step, waits in self.waits_for.items() if not waits)


def make_plan(
    present: Mapping[str, str],
    wanted: Mapping[str, str],
    rules: Mapping[str, NodeRule],
    parameters: Iterable[str] = (),
) -> Plan:
    """The plan with the fewest transitions.

    Args:
        present: primary state per node; a node that is not listed cannot be changed and gets no step.
        wanted: primary state per node; a node that is not listed stays as it is.
        rules: dependencies between nodes.
        parameters: nodes whose parameters are to be set: when they are configured, and before they are activated.
    """
    steps: dict[str, list[Step]] = {}
    for node, state in present.items():
        chain = _chain(node, state, wanted.get(node, state))
        if node in parameters and wanted.get(node, state) != UNCONFIGURED:
            configured = 1 if chain and chain[0].action == CONFIGURE else 0
            chain.insert(configured, Step(node, SET_PARAMETERS))
        steps[node] = chain
    waits: dict[Step, frozenset[Step]] = {}
    for node, chain in steps.items():
        for index, step in enumerate(chain):
            before = set(chain[:index][-1:])
            if step.action == ACTIVATE:
                before |= {Step(other, ACTIVATE) for other in rules[node].earlier} & _all(steps)
            elif step.action == DEACTIVATE:
                later = {other for other, rule in rules.items() if node in rule.earlier}
                before |= {Step(other, DEACTIVATE) for other in later} & _all(steps)
            waits[step] = frozenset(before)
    return Plan(waits)


def widen(
    activate: Iterable[str],
    deactivate: Iterable[str],
    wanted: Mapping[str, str],
    rules: Mapping[str, NodeRule],
) -> dict[str, str]:
    """Wanted states after a request for single nodes, their dependencies included.

    An activated node brings the nodes it needs; a deactivated one takes those along that need it.

    Raises:
        ModesError: the two lists contradict each other, also through a dependency.
    """
    up, down = _closure(activate, rules, upwards=True), _closure(deactivate, rules, upwards=False)
    for node in up:
        if node in down:
            first, second = up[node], down[node]
            via = f"{first} needs {node}" if first != node else f"{second} needs {node}" if second != node else ""
            detail = f" ({via})" if via else ""
            raise ModesError(f"{node} cannot be activated and deactivated in one request{detail}")
    result = dict(wanted)
    for node in up:
        result[node] = ACTIVE
    for node in down:
        if result.get(node, ACTIVE) == ACTIVE:
            result[node] = INACTIVE
    return result


def _chain(node: str, state: str, goal: str) -> list[Step]:
    level, end = _LEVEL[state], _LEVEL[goal]
    actions = [CONFIGURE, ACTIVATE][level:end] if level <= end else [CLEANUP, DEACTIVATE][end:level][::-1]
    return [Step(node, action) for action in actions]


def _all(steps: Mapping[str, list[Step]]) -> set[Step]:
    return {step for chain in steps.values() for step in chain}


def _closure(names: Iterable[str], rules: Mapping[str, NodeRule], upwards: bool) -> dict[str, str]:
    """Every node reached from `names` over `needs` (upwards) or against it, with the name that brought it in."""
    reached: dict[str, str] = {}
    stack = [(name, name) for name in names]
    while stack:
        node, origin = stack.pop()
        if node in reached:
            continue
        reached[node] = origin
        others = rules[node].needs if upwards else [name for name, rule in rules.items() if node in rule.needs]
        stack += [(other, origin) for other in others]
    return reached
