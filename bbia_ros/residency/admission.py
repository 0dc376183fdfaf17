"""Whether a model may be loaded, who must go for it, and what to say when it does not fit. Pure decisions."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

from bbia_ros.residency import eviction
from bbia_ros.residency.errors import AdmissionRefused
from bbia_ros.residency.limits import Limits
from bbia_ros.residency.spec import MB


class Force(enum.IntEnum):
    """What a load may do to others."""

    NONE = 0
    """Evict nobody."""
    MEEK = 1
    """Evict idle models, but not those that were prefetched or used just now: for work that nobody waits for."""
    GENTLE = 2
    """As MEEK, and models of the background even if they were: for what will probably be needed soon."""
    FULL = 3
    """Evict idle models, those of the background first, and those that were prefetched just now last: for a call."""


@dataclass(frozen=True)
class Occupant:
    """A model that takes room now: loaded here, being loaded here, or in another process of the stack.

    Attributes:
        name: The model.
        group: Its limit group or empty.
        size: Bytes it counts for.
        last_used: End of its last use [s, monotonic].
        evictable: No call in flight, not pinned, here.
        state: For the refusal: IDLE, BUSY, "IDLE, pinned", "in process brain"...
        settled: Bytes that it will count for when its load is done; `size` if none goes on, 0 if not known.
        reload_s: Measured duration of its load [s]; 0: not known.
        guarded: Prefetched a moment ago.
        recent: Used a moment ago.
        background: Nobody waits for its answers.
        busy: Being loaded or in use here; may go when it is idle.
    """

    name: str
    group: str
    size: int
    last_used: float
    evictable: bool
    state: str
    settled: int
    reload_s: float = 0.0
    guarded: bool = False
    recent: bool = False
    background: bool = False
    busy: bool = False


@dataclass(frozen=True)
class Request:
    """A model that wants to be loaded.

    Attributes:
        name: The model.
        group: Its limit group or empty.
        need: Bytes to reserve for the load.
        force: What it may do to others.
    """

    name: str
    group: str
    need: int
    force: Force = Force.FULL


@dataclass(frozen=True)
class Plan:
    """What to do for a request.

    Attributes:
        victims: Models to unload first; empty with a refusal.
        refusal: Why it cannot be loaded now; None: it can.
        missing: Bytes beyond what may be evicted here: another process may have idle ones; 0 if that cannot help.
        hope: Whether what loads in progress will give back when they are done can be enough.
        patience: Whether it fits as soon as models that are in use now are idle.
    """

    victims: list[str] = field(default_factory=list)
    refusal: AdmissionRefused | None = None
    missing: int = 0
    hope: bool = False
    patience: bool = False


def plan(request: Request, ours: Sequence[Occupant], others: Sequence[Occupant], limits: Limits, now: float) -> Plan:
    """Decide.

    Args:
        request: Who wants in.
        ours: Models of this pool that take room, without the requesting one.
        others: Models of the other processes.
        limits: In force.
        now: [s, monotonic].
    """
    everybody = [*ours, *others]
    limit = limits.groups.get(request.group) if request.group else None
    going: list[str] = []
    if limit is not None:
        members = _victims_for_group(request, everybody, limit)
        if members is None:
            busy = any(one.busy for one in ours if one.group == request.group)
            refusal = refuse_group(request.name, request.group, limit, everybody)
            return Plan(refusal=refusal, patience=busy and request.force is Force.FULL)
        going = members
    if limits.budget_bytes is None:
        return Plan(going)
    staying = [one for one in ours if one.name not in going]
    missing = shortage([*staying, *others], request.need, limits.budget_bytes)
    chosen = choose([one for one in staying if one.evictable], missing, limits.eviction, now, request.force)
    if chosen is not None:
        return Plan([*going, *chosen])
    refusal = refuse_bytes(request.name, request.need, limits.budget_bytes, everybody)
    if request.need > limits.budget_bytes:
        return Plan(refusal=refusal)
    ours_idle = sum(one.size for one in staying if _may_go(one, request.force))
    temporary = sum(one.size - one.settled for one in [*staying, *others])
    short = missing - ours_idle
    in_use = sum(one.settled for one in staying if one.busy) if request.force is Force.FULL else 0
    return Plan(
        refusal=refusal,
        missing=short if request.force else 0,
        hope=0 < short <= temporary,
        patience=0 < short <= temporary + in_use,
    )


def choose(idle: Sequence[Occupant], missing: int, how: str, now: float, force: Force = Force.FULL) -> list[str] | None:
    """Idle models to unload until `missing` bytes are free; None if not enough may go."""
    allowed = [one for one in idle if _may_go(one, force)]
    for tier in ([one for one in allowed if one.background], [one for one in allowed if not one.guarded], allowed):
        names = eviction.victims(tier, missing, how, now)
        if names is not None:
            return names
    return None


def shortage(occupants: Sequence[Occupant], need: int, budget: int | None) -> int:
    """Bytes that are missing for `need` more within the budget; 0 if it fits or there is no budget."""
    if budget is None:
        return 0
    return max(0, sum(occupant.size for occupant in occupants) + need - budget)


def excess_members(ours: Sequence[Occupant], others: Sequence[Occupant], limits: Limits) -> list[str]:
    """Idle models of ours to unload because their groups hold more than they may, larger ones first."""
    going: list[str] = []
    for group, limit in limits.groups.items():
        members = sum(one.group == group for one in (*ours, *others))
        idle = sorted((one for one in ours if one.group == group and one.evictable), key=_larger_first)
        going += [one.name for one in idle[: max(0, members - limit)]]
    return going


def _victims_for_group(request: Request, occupants: Sequence[Occupant], limit: int) -> list[str] | None:
    """Members of the group to unload so that one more may come, larger ones first; None if too few may go."""
    members = [one for one in occupants if one.group == request.group]
    excess = len(members) + 1 - limit
    if excess <= 0:
        return []
    free = sorted((one for one in members if _may_go(one, request.force)), key=_larger_first)
    return [one.name for one in free[:excess]] if len(free) >= excess else None


def _larger_first(one: Occupant) -> tuple[bool, int, float]:
    return one.guarded, -one.size, one.last_used


def _may_go(one: Occupant, force: Force) -> bool:
    if not one.evictable or force is Force.NONE:
        return False
    rested = not one.guarded and not one.recent
    return force is Force.FULL or rested or (force is Force.GENTLE and one.background)


def refuse_group(name: str, group: str, limit: int, occupants: Sequence[Occupant]) -> AdmissionRefused:
    """The error for a group whose limit is used up."""
    members = [one for one in occupants if one.group == group]
    return AdmissionRefused(
        f"{name} is not loaded: group {group} is limited to {limit} and none may go; held by {who(members)}"
    )


def refuse_bytes(name: str, need: int, budget: int, occupants: Sequence[Occupant]) -> AdmissionRefused:
    """The error for a budget that does not suffice."""
    if need > budget:
        return AdmissionRefused(
            f"{name} is not loaded: it needs {need / MB:.0f} MB and the whole budget is {budget / MB:.0f} MB: "
            f"raise the budget (budget_mb of the manager) or choose a smaller model"
        )
    free = max(0, budget - sum(one.size for one in occupants))
    holders = f"held by {who(occupants)}" if occupants else "nothing else is loaded"
    return AdmissionRefused(
        f"{name} is not loaded: it needs {need / MB:.0f} MB and {free / MB:.0f} MB of the budget of "
        f"{budget / MB:.0f} MB are free; {holders}"
    )


def refuse_queue(name: str) -> AdmissionRefused:
    """The error for a load that would take the room that a call waits for."""
    return AdmissionRefused(f"{name} is not loaded: a call to another model waits for room already")


def who(occupants: Sequence[Occupant]) -> str:
    """Who holds how much, the largest first."""
    largest = sorted(occupants, key=lambda one: -one.size)
    return ", ".join(f"{one.name} {one.size / MB:.0f} MB ({one.state})" for one in largest) or "nobody"
