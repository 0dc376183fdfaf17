"""The rungs of the ladder: which step each of them has to offer just now. Pure functions, no ROS in here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bbia_ros.manager.pressure import MB
from bbia_ros.manager.situation import Kind, ModelView, Situation, Step
from bbia_ros.residency import eviction

LEAST_GAIN = 4 * MB
"""A node is not given up for less [byte]: its user would miss it, and nobody would notice the memory."""
RECENT_S = 60.0
"""What was used within so long will be used again [s]."""

Allowed = Callable[[str], bool]
"""Whether a thing may be touched now: "model tts:joe", "variant chat", "node emotion"."""


def unused(situation: Situation, idle_s: float, allowed: Allowed) -> list[ModelView]:
    """Rung 1: models in memory that were not used for `idle_s`."""
    return [
        model
        for model in situation.models
        if model.idle and model.size and model.idle_s >= idle_s and allowed(f"model {model.name}")
    ]


def unload(models: Sequence[ModelView], missing: int, reason: str, policy: str) -> Step | None:
    """The first to unload of those that together give back what is missing, or all if that is not enough.

    Args:
        models: that may go.
        missing: [byte].
        reason: for the step.
        policy: of `eviction`: weighted or lru.
    """
    candidates = [_Candidate(model.name, model.size, -model.idle_s, model.load_s) for model in models]
    enough = min(missing, sum(one.size for one in candidates))
    for name in eviction.victims(candidates, enough, policy, 0.0) or ():
        model = next(model for model in models if model.name == name)
        return Step(Kind.UNLOAD, model.node, model.name, size=model.size, reason=reason)
    return None


def smaller(situation: Situation, order: Sequence[str], sizes: Mapping[str, int], allowed: Allowed) -> Step | None:
    """Rung 2: the next smaller variant. Of what is in memory first; then of the node that would be given up first.

    A task whose model is not in memory follows last: nothing comes back, but its next use takes less.
    """
    place = {node: index for index, node in enumerate(order)}
    models = [
        model
        for model in situation.models
        if model.active and model.variant in model.variants[:-1] and model is situation.in_use(model.node, model.task)
    ]
    for model in sorted(models, key=lambda m: (not m.size, place.get(m.node, len(place)), -m.size)):
        goal = model.variants[model.variants.index(model.variant) + 1]
        size = max(0, model.size - sizes.get(model.called(goal), 0))
        if (size or not model.size) and allowed(f"variant {model.task}"):
            return Step(
                Kind.SMALLER, model.node, model.task, model.variant, goal, size=size,
                need=max(model.size, sizes.get(model.name, 0)), reason=situation.verdict.reason,
            )  # fmt: skip
    return None


def give_up(
    situation: Situation, order: Mapping[str, tuple[str, ...]], sizes: Mapping[str, int], allowed: Allowed
) -> Step | None:
    """Rung 3: the first node in the order whose models are worth it, with the nodes that need it.

    Args:
        situation: now.
        order: nodes, first to last, each with those that go along.
        sizes: [byte] that models were seen to take.
        allowed: what may be touched.
    """
    for node, needing in order.items():
        view = situation.nodes.get(node)
        if view is None or not (view.wanted and view.active) or view.held:
            continue
        along = tuple(other for other in needing if other in situation.nodes and situation.nodes[other].active)
        if not all(allowed(f"node {one}") for one in (node, *along)):
            continue
        models = [model for model in situation.models if model.node in (node, *along)]
        size = sum(model.size or _soon(model, sizes) for model in models)
        if size >= LEAST_GAIN:
            need = sum(max(model.size, sizes.get(model.name, 0)) for model in models)
            reason = situation.verdict.reason
            return Step(Kind.GIVE_UP, node, along=along, size=size, need=need, reason=reason)
    return None


def _soon(model: ModelView, sizes: Mapping[str, int]) -> int:
    """What a model that was unloaded just now takes when it is used again, as it soon will be [byte]."""
    return sizes.get(model.name, 0) if model.idle_s < RECENT_S else 0


@dataclass(frozen=True)
class _Candidate:
    """An idle model for `eviction`, whose clock stands at 0 now."""

    name: str
    size: int
    last_used: float
    reload_s: float
    background: bool = False  # under pressure all are weighed alike
