"""What a conversation produces: an answer in words and, where needed, something to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

LOOK_AT = "look_at"
PLAY_MOVE = "play_move"
EXPRESS = "express"
SET_MODE = "set_mode"
STOP = "stop"
FORGET = "forget"
SEE = "see"
PEOPLE = "people"
CLOCK = "clock"
MEMORY = "memory"


@dataclass(frozen=True)
class Action:
    """Something that the robot does with its answer; carried out by the node.

    Attributes:
        name: look_at (target, or direction "left", ...), play_move (move), express (label, intensity),
            set_mode (mode; after the words are spoken), stop, forget.
        arguments: As listed.
    """

    name: str
    arguments: Mapping[str, str | float] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Answer:
    """A complete answer that a rule gives.

    Attributes:
        text: To show and to say; empty: the robot only acts.
        language: "en" or "fr".
        tool: Tool that was used, for DialogueTurn; empty if none.
        action: What to do besides.
    """

    text: str
    language: str
    tool: str = ""
    action: Action | None = None
