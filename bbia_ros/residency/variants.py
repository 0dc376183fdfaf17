"""The models among which a task may choose, and the exchange of one for another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from bbia_ros.residency.errors import UnknownVariant
from bbia_ros.residency.spec import ModelSpec


@dataclass(frozen=True)
class Variant:
    """One of the models that can do a task.

    Attributes:
        name: What people call it: its name in the catalogue, or its path.
        spec: What the pool needs to load it.
    """

    name: str
    spec: ModelSpec


@dataclass(frozen=True)
class Swap:
    """What `ModelSlot.use` did.

    Attributes:
        before: Variant in use before.
        now: Variant in use now.
        message: One sentence for the person who asked.
        released_bytes: What the model used before gave back; 0 if it was not in memory, or still answers somebody.
        duration_s: From the request until the new one was ready [s].
    """

    before: str
    now: str
    message: str
    released_bytes: int = 0
    duration_s: float = 0.0


class Variants:
    """A task's models in order, best first. Not thread-safe: the slot guards it.

    Args:
        task: For messages.
        variants: At least one, with unique names.
        unavailable: Variants that were listed and cannot be used here, with the reason.
    """

    def __init__(self, task: str, variants: Sequence[Variant], unavailable: Mapping[str, str] | None = None) -> None:
        if not variants:
            raise ValueError(f"{task} needs at least one model")
        self.task = task
        self.unavailable = dict(unavailable or {})
        self._by_name = {one.name: one for one in variants}
        if len(self._by_name) != len(variants):
            raise ValueError(f"the models of {task} need different names")

    @property
    def names(self) -> tuple[str, ...]:
        """Best first."""
        return tuple(self._by_name)

    def find(self, name: str) -> Variant:
        """The variant of this name, or whose model has this name in the pool; empty: the best.

        Raises:
            UnknownVariant: There is none; the message lists those that there are.
        """
        for one in self._by_name.values():
            if name in ("", one.name, one.spec.name):
                return one
        if name in self.unavailable:
            raise UnknownVariant(
                f"{self.task} cannot use '{name}': {self.unavailable[name]}; it can use {', '.join(self.names)}"
            )
        raise UnknownVariant(f"{self.task} has no variant '{name}'; it can use {', '.join(self.names)}")

    def smaller(self, name: str) -> list[Variant]:
        """Those after this one, best first."""
        rest = list(self._by_name.values())
        return rest[self.names.index(name) + 1 :]

    def down_to(self, name: str) -> list[Variant]:
        """From the best one to this one, inclusive."""
        return list(self._by_name.values())[: self.names.index(name) + 1]

    def adjust(self, ttl_s: float, pinned: bool) -> None:
        """Change what may change while models are held."""
        for name, one in self._by_name.items():
            self._by_name[name] = Variant(name, replace(one.spec, ttl_s=ttl_s, pinned=pinned))


class Move:
    """One exchange on its way.

    Attributes:
        label: What was asked for, for messages.
        candidates: Variants to try, in this order.
        asked: Somebody asked for it; otherwise the model in use was refused for lack of memory.
        wanted: The variant that shall be in use from now on if memory allows.
        reason: Why the model in use was refused; empty if somebody asked.
        hot: The new model is to be loaded at once, because the old one was in memory or somebody waits for it.
        future: Completed with what was done, or with the error.
        over: Nothing of it goes on any more, but for the old model's last answers.
        emptied: The old model was taken out of memory for it.
        released_bytes: What that gave back.
    """

    def __init__(
        self, label: str, candidates: list[Variant], *, asked: bool, wanted: str, hot: bool, reason: str = ""
    ) -> None:
        self.label, self.candidates, self.asked, self.wanted = label, candidates, asked, wanted
        self.hot, self.reason = hot, reason
        self.future: Future[Swap] = Future()
        self.future.set_running_or_notify_cancel()
        self.over = False
        self.emptied = False
        self.released_bytes = 0
