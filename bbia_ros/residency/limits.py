"""What may be in memory: the budget, the size of groups, and the way to choose who goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

EVICTIONS = ("weighted", "lru")
"""Ways to choose who goes; see `eviction`."""


@dataclass(frozen=True)
class Limits:
    """Limits over all workers of the stack.

    Attributes:
        budget_bytes: Private bytes of all workers together; None: no limit.
        groups: Most models of a group in memory or being loaded at a time; groups that are not named have no limit.
        eviction: "weighted" (what costs least to miss) or "lru" (what was not used for longest).

    Raises:
        ValueError: A limit that nothing could meet, or an unknown way of eviction.
    """

    budget_bytes: int | None = None
    groups: Mapping[str, int] = field(default_factory=dict, hash=False)
    eviction: str = "weighted"

    def __post_init__(self) -> None:
        if self.budget_bytes is not None and not self.budget_bytes > 0:
            raise ValueError(f"the budget is {self.budget_bytes} bytes, expected more than 0, or None for no limit")
        for group, limit in self.groups.items():
            if limit < 1:
                raise ValueError(f"the limit of group {group} is {limit}, expected at least 1")
        if self.eviction not in EVICTIONS:
            raise ValueError(f"eviction is {self.eviction!r}, expected {' or '.join(map(repr, EVICTIONS))}")
        object.__setattr__(self, "groups", dict(self.groups))
