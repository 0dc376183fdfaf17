"""The models of one node: what it may choose among, what it holds, what it was told to use."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from bbia_ros.residency import Lease, ModelInfo, ModelSlot, ModelSpec, Swap
from bbia_ros.residency.errors import UnknownVariant
from bbia_ros.residency.resident import Resident
from bbia_ros.residency.spec import ModelState
from bbia_ros.residency.variants import Variants
from bbia_ros.ros.models import Engine, ModelChoice, ModelParameters, build_choice

if TYPE_CHECKING:
    from bbia_ros.ros.lifecycle import BbiaNode


class NodeModels:
    """Owns the leases and slots of a node while it is active, and its choice of models in every state.

    A model that was asked for with `use` stays the node's choice over deactivation and activation, until it is
    configured again. A smaller one that was taken for lack of memory does not.
    """

    def __init__(self, node: BbiaNode[Any]) -> None:
        self._node = node
        self._choices: dict[str, ModelChoice] = {}
        self._slots: dict[str, ModelSlot] = {}
        self._leases: dict[str, Lease] = {}
        self._known: set[str] = set()

    # --- for the node ------------------------------------------------------------------------------------

    def choose(
        self, key: str, parameters: ModelParameters, *, task: str, engines: Mapping[str, Engine], **more: Any
    ) -> ModelChoice:
        """Checks the models for a task, see `build_choice`, and tells of those that cannot be used here."""
        choice = build_choice(key, parameters, task=task, engines=engines, **more)
        for name, reason in choice.unavailable.items():
            self._node.get_logger().info(f"{key} cannot use {name}: {reason}")
        self._choices[key] = choice
        return choice

    def slot(self, choice: ModelChoice) -> ModelSlot:
        """Takes the models for a task into use; loads nothing unless the choice is eager."""
        choice = self._choices.get(choice.key, choice)  # what was asked for since it was made
        key = choice.key
        slot = ModelSlot(
            self._node.process.pool, choice.task, choice.variants, start=choice.start,
            unavailable=choice.unavailable, on_change=lambda: self._slot_changed(key),
        )  # fmt: skip
        self._slots[key] = slot
        self._known.add(slot.spec.name)
        if choice.eager:
            slot.preload()
        return slot

    def lease(self, spec: ModelSpec) -> Lease:
        """Takes one model into use that has no variants."""
        lease = self._node.process.pool.acquire(spec)
        self._leases[spec.name] = lease
        self._known.add(spec.name)
        return lease

    def release(self) -> None:
        """Gives everything back; workers end side by side."""
        slots, self._slots = self._slots, {}
        leases, self._leases = list(self._leases.values()), {}
        for slot in slots.values():
            leases += slot.surrender()
        for record in self._node.process.pool.release(leases):
            if record is not None:
                self._node.get_logger().info(f"{record.name}: {record}")

    def forget(self) -> None:
        """The node is not configured any more: it has no choice."""
        self._choices.clear()

    def parameters_changed(self, old: Any, new: Any) -> None:
        """Time to live, pin and time of loading of each model take effect at once, also on one in memory."""
        for item in fields(new):
            before, after = getattr(old, item.name), getattr(new, item.name)
            choice = self._choices.get(item.name)
            if choice is None or not isinstance(after, ModelParameters) or before == after:
                continue
            self._choices[item.name] = choice.adjusted(after)
            slot = self._slots.get(item.name)
            if slot is not None:
                slot.adjust(ttl_s=after.ttl_s, pinned=after.pinned)
                self._node.vitals.changed()

    # --- for those who ask -------------------------------------------------------------------------------

    def use(self, task: str, name: str) -> Future[Swap]:
        """Has a task use another of its models; see `ModelSlot.use_later`. While inactive, from its next use on.

        Raises (in the future):
            UnknownVariant: no such task or model here; the message lists those that there are.
            ResidencyError: see `ModelSlot.use`.
        """
        choice = next((one for key, one in self._choices.items() if task in (key, one.task)), None)
        done: Future[Swap] = Future()
        if choice is None:
            tasks = ", ".join(sorted(one.task for one in self._choices.values())) or "none yet"
            done.set_exception(UnknownVariant(f"{self._node.get_name()} has no task '{task}'; its tasks: {tasks}"))
            return done
        try:
            found = Variants(choice.task, choice.variants, choice.unavailable).find(name)
        except UnknownVariant as error:
            done.set_exception(error)
            return done
        self._choices[choice.key] = replace(choice, start=found.name)
        slot = self._slots.get(choice.key)
        if slot is None:
            words = f"{choice.task} uses {found.name} once {self._node.get_name()} is active"
            done.set_result(Swap(choice.start, found.name, words))
            return done
        swap = slot.use_later(name)

        def keep(ended: Future[Swap]) -> None:
            # What could not be used is not the choice.
            if ended.exception() is not None and not slot.released:
                self._choices[choice.key] = replace(self._choices[choice.key], start=slot.wanted)

        swap.add_done_callback(keep)
        return swap

    def holds(self, name: str) -> bool:
        """Whether the node has had this model."""
        return name in self._known

    @property
    def known(self) -> list[str]:
        """Names of the models that the node has had."""
        return sorted(self._known)

    def infos(self) -> list[ModelInfo]:
        """The pool's view of the models that this node uses or would use, and of those that are still in memory."""
        variants = {one.spec.name for choice in self._choices.values() for one in choice.variants}
        in_use = {spec.name: spec for spec in map(self._in_use, self._choices.values())}
        spare = variants - in_use.keys()
        infos = [
            info
            for info in self._node.process.models()
            if info.name in self._known | variants and (info.name not in spare or info.state != ModelState.ABSENT)
        ]
        never_taken = in_use.keys() - {info.name for info in infos}
        return infos + [Resident(in_use[name]).info() for name in sorted(never_taken)]

    def variants(self, name: str) -> list[str]:
        """What the model of this name may be exchanged for, best first; empty if it has no alternative."""
        for choice in self._choices.values():
            if len(choice.variants) > 1 and any(one.spec.name == name for one in choice.variants):
                return [one.name for one in choice.variants]
        return []

    def unavailable(self) -> dict[str, list[str]]:
        """Variants that were listed and cannot be used here, by parameter group."""
        return {key: list(choice.unavailable) for key, choice in self._choices.items() if choice.unavailable}

    def _in_use(self, choice: ModelChoice) -> ModelSpec:
        slot = self._slots.get(choice.key)
        return slot.spec if slot is not None else choice.spec

    def _slot_changed(self, key: str) -> None:
        """From any thread."""
        slot = self._slots.get(key)
        if slot is None or slot.released:
            return
        self._known.add(slot.spec.name)
        if notice := slot.notice:
            self._node.report_fault(f"{key} variant", notice)
        else:
            self._node.clear_fault(f"{key} variant")
        self._node.vitals.changed()
