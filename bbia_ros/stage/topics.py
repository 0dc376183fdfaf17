"""How an observer names a topic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """A topic that is observed.

    Attributes:
        name: relative to the stack's namespace, or absolute.
        kind: "package/msg/Type".
        profile: attribute of bbia_ros.ros.qos.
        kept: its messages are kept in memory for whoever asks.
        recorded: it goes into the bag.
    """

    name: str
    kind: str
    profile: str
    kept: bool = True
    recorded: bool = True
