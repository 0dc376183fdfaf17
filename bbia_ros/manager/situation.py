"""What the governor decides about: models, nodes and limits as they are just now, and the steps it may take.

No ROS in here: the messages are read by their fields.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bbia_ros.manager.levels import Verdict
from bbia_ros.manager.pressure import MB


@dataclass(frozen=True)
class ModelView:
    """One model that a node holds.

    Attributes:
        name: in the stack, for example "tts:piper-joe".
        node: that holds it.
        task: that it does for the node.
        group: limit group, or empty.
        idle: in memory without a call in flight, and not pinned: it may be unloaded.
        size: [byte] what it counts for; 0: not in memory.
        idle_s: [s] since it was last used or loaded, whichever is later.
        load_s: [s] what loading it again takes.
        worker: pid of its worker; 0: none.
        variant: its name among the variants.
        variants: what can do its task, best first; empty: only this.
        active: its node is.
    """

    name: str
    node: str
    task: str
    group: str = ""
    idle: bool = True
    size: int = 0
    idle_s: float = 0.0
    load_s: float = 0.0
    worker: int = 0
    variant: str = ""
    variants: tuple[str, ...] = ()
    active: bool = True

    def called(self, variant: str) -> str:
        """The name in the stack of another variant of this model."""
        return self.name.removesuffix(self.variant) + variant if self.variant else self.name


@dataclass(frozen=True)
class NodeView:
    """One supervised node.

    Attributes:
        wanted: the mode, or somebody's request, asks for it to be active.
        active: it is.
        held: it is kept inactive although it is wanted.
    """

    wanted: bool
    active: bool
    held: bool = False


@dataclass(frozen=True)
class Situation:
    """Everything at one moment.

    Attributes:
        verdict: how short memory is.
        models: that nodes hold, those that are not in memory too.
        nodes: by name.
        budget: [byte] for all workers; 0: none.
        workers: [byte] PSS of all workers.
        limits: models of a group that may be in memory.
    """

    verdict: Verdict
    models: tuple[ModelView, ...] = ()
    nodes: Mapping[str, NodeView] = field(default_factory=dict)
    budget: int = 0
    workers: int = 0
    limits: Mapping[str, int] = field(default_factory=dict)

    @property
    def reserved(self) -> int:
        """[byte] What all models count for."""
        return sum(model.size for model in self.models)

    def in_use(self, node: str, task: str) -> ModelView | None:
        """The model that does a node's task: of several that are there during an exchange, the smallest variant."""
        of_task = [model for model in self.models if (model.node, model.task) == (node, task)]
        ranked = [model for model in of_task if model.variant in model.variants]
        return max(
            ranked, key=lambda model: model.variants.index(model.variant), default=of_task[0] if of_task else None
        )

    def resident(self, group: str) -> int:
        """How many models of a group are in memory."""
        return sum(1 for model in self.models if model.group == group and model.size)


class Kind(enum.Enum):
    """What a step does."""

    UNLOAD = "unload a model that nobody uses"
    SMALLER = "use a smaller variant"
    GIVE_UP = "deactivate a node"
    LARGER = "use the larger variant again"
    REGAIN = "activate a node again"

    @property
    def down(self) -> bool:
        """Gives memory back."""
        return self in (Kind.UNLOAD, Kind.SMALLER, Kind.GIVE_UP)


@dataclass(frozen=True)
class Step:
    """One step on the ladder.

    Attributes:
        kind: what is done.
        node: that does it, or is given up.
        target: name of the model to unload, or the task that changes its variant.
        source: variant before; empty where it is none.
        goal: variant afterwards.
        along: nodes that go or come with the node, because they need it.
        size: [byte] what it is expected to give back, or to need.
        need: [byte] what having back what a step down takes will need: all models that a node ever had, or the larger
            variant; 0: not known.
        reason: the figures that led to it.
    """

    kind: Kind
    node: str
    target: str = ""
    source: str = ""
    goal: str = ""
    along: tuple[str, ...] = ()
    size: int = 0
    need: int = 0
    reason: str = ""

    @property
    def what(self) -> str:
        """The thing that goes or comes, as in StackStatus.pressure.given_up."""
        if self.kind is Kind.UNLOAD:
            return f"model {self.target}"
        if self.kind in (Kind.SMALLER, Kind.LARGER):
            return f"variant {self.target}"
        return f"node {self.node}"

    def told(self, ok: bool, answer: str, released: int = 0) -> str:
        """The sentence for the log and the status once it has ended."""
        size = f"{(released or self.size) / MB:.0f} MB"
        back = f"{size} back" if released or self.size else "it is not loaded now"
        cause = f"{'pressure' if self.kind.down else 'room'}: {self.reason}"
        nodes = " and ".join((self.node, *self.along))
        if not ok:
            return f"{cause}: did not {self._wish(nodes)}: {answer}"
        if self.kind is Kind.UNLOAD:
            return f"{cause}: unloaded {self.target} ({size})"
        if self.kind is Kind.SMALLER:
            return f"{cause}: {self.target} uses {self.goal} instead of {self.source} ({back})"
        if self.kind is Kind.GIVE_UP:
            return f"{cause}: gave up {nodes} ({size})"
        if self.kind is Kind.LARGER:
            return f"{cause}: {self.target} uses {self.goal} again (about {size})"
        return f"{cause}: {nodes} is back (about {size})"

    def _wish(self, nodes: str) -> str:
        return {
            Kind.UNLOAD: f"unload {self.target}",
            Kind.SMALLER: f"have {self.target} use {self.goal}",
            Kind.GIVE_UP: f"give up {nodes}",
            Kind.LARGER: f"have {self.target} use {self.goal} again",
            Kind.REGAIN: f"bring {nodes} back",
        }[self.kind]


def model_views(
    rows: Iterable[Any], now: float, since: Mapping[str, float], active: Collection[str]
) -> tuple[ModelView, ...]:
    """The models of StackStatus as the governor sees them.

    Args:
        rows: ModelStatus messages, each model once.
        now: [s] ROS time, as their stamps.
        since: [s] ROS time from which on a model was seen in memory, by name.
        active: nodes that are active.
    """
    views = []
    for row in rows:
        used = row.last_used.sec + row.last_used.nanosec * 1e-9
        variants = tuple(row.variants)
        key, _, short = row.name.partition(":")
        present = row.pid != 0 or row.state == "LOADING"
        views.append(
            ModelView(
                name=row.name, node=row.node, task=row.task, group=row.group,
                idle=row.state == "IDLE" and not row.pinned,
                size=int(row.budget_bytes or row.pss_bytes) if present else 0,
                idle_s=max(0.0, now - max(used, since.get(row.name, now) if present else 0.0)),
                load_s=float(row.load_s), worker=row.pid,
                variant=row.name if row.name in variants else short or key, variants=variants,
                active=row.node in active,
            )
        )  # fmt: skip
    return tuple(views)
