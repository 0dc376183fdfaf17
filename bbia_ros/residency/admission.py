"""Who must go so that a model fits, and what to say when it does not. Pure decisions, no processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bbia_ros.residency.errors import AdmissionRefused
from bbia_ros.residency.spec import MB


@dataclass(frozen=True)
class Occupant:
    """A model that takes room now: loaded here, being loaded here, or in another process of the stack.

    Attributes:
        name: The model.
        group: Its limit group or empty.
        size: Bytes it counts for.
        last_used: End of its last use [s, monotonic]; the least goes first.
        evictable: No call in flight, not pinned, here.
        state: For the refusal: IDLE, BUSY, "IDLE, pinned", "in process brain"...
    """

    name: str
    group: str
    size: int
    last_used: float
    evictable: bool
    state: str


def shortage(occupants: Sequence[Occupant], need: int, budget: int | None) -> int:
    """Bytes that are missing for `need` more within the budget; 0 if it fits or there is no budget."""
    if budget is None:
        return 0
    return max(0, sum(occupant.size for occupant in occupants) + need - budget)


def victims_for_bytes(occupants: Sequence[Occupant], missing: int) -> list[str] | None:
    """Evictable models to unload, least recently used first, until `missing` bytes are free; None if not enough."""
    chosen: list[str] = []
    for occupant in sorted((one for one in occupants if one.evictable), key=lambda one: one.last_used):
        if missing <= 0:
            break
        chosen.append(occupant.name)
        missing -= occupant.size
    return chosen if missing <= 0 else None


def victims_for_group(occupants: Sequence[Occupant], group: str, limit: int) -> list[str] | None:
    """Members of the group to unload so that one more may come; None if those in use fill the limit."""
    members = [one for one in occupants if one.group == group]
    excess = len(members) + 1 - limit
    if excess <= 0:
        return []
    evictable = sorted((one for one in members if one.evictable), key=lambda one: one.last_used)
    return [one.name for one in evictable[:excess]] if len(evictable) >= excess else None


def refuse_group(name: str, group: str, limit: int, occupants: Sequence[Occupant]) -> AdmissionRefused:
    """The error for a group whose limit is used up."""
    members = [one for one in occupants if one.group == group]
    return AdmissionRefused(
        f"{name} is not loaded: group {group} is limited to {limit} and none may go; held by {_who(members)}"
    )


def refuse_bytes(name: str, need: int, budget: int, occupants: Sequence[Occupant]) -> AdmissionRefused:
    """The error for a budget that does not suffice."""
    free = max(0, budget - sum(one.size for one in occupants))
    holders = f"held by {_who(occupants)}" if occupants else "nothing else is loaded"
    return AdmissionRefused(
        f"{name} is not loaded: it needs {need / MB:.0f} MB and {free / MB:.0f} MB of the budget of "
        f"{budget / MB:.0f} MB are free; {holders}"
    )


def _who(occupants: Sequence[Occupant]) -> str:
    largest = sorted(occupants, key=lambda one: -one.size)
    return ", ".join(f"{one.name} {one.size / MB:.0f} MB ({one.state})" for one in largest) or "nobody"
