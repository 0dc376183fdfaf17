"""What would need a person: found in the manager's status, when it lasts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

UNEXPECTED_S = 30.0
"""A node that is in another state than its mode wants, a mode that is being entered, or a model that stays
FAILED, for longer than this."""
FAULT_S = 60.0
"""A fault that a node reports for longer than this: it does not mend itself."""
SILENCE_S = 10.0
"""A manager that is not heard of for longer than this; it speaks every second."""
MOST_TROUBLES = 500
SILENT = "the manager is silent"


@dataclass
class Trouble:
    """Something that would need a person.

    Attributes:
        what: one sentence.
        since: when it began [s of the record].
        until: when it was over; None: it was not.
    """

    what: str
    since: float
    until: float | None = None


class Health:
    """Watches the stack's status.

    Attributes:
        troubles: found so far, the first 500.
    """

    def __init__(self, modes: Mapping[str, Mapping[str, str]]) -> None:
        """Begins to watch.

        Args:
            modes: mode -> node -> the state that it should be in.
        """
        self._modes = modes
        self._since: dict[str, float] = {}
        self._open: dict[str, Trouble] = {}
        self._heard: float | None = None
        self.troubles: list[Trouble] = []

    def look(self, status: Any | None, fresh: bool, now: float) -> list[Trouble]:
        """Takes the newest status; returns troubles that are new.

        Args:
            status: a StackStatus, or None before the first.
            fresh: whether it has come since the last look.
            now: time of the record [s].
        """
        if fresh or self._heard is None:
            self._heard = now
        present = {key: (what, limit) for key, what, limit in self._conditions(status)} if status is not None else {}
        if not fresh and now - self._heard > SILENCE_S:
            present[SILENT] = SILENT, SILENCE_S
        for key in [known for known in self._since if known not in present]:
            del self._since[key]
            if key in self._open:
                self._open.pop(key).until = now
        new = []
        for key, (what, limit) in present.items():
            began = self._since.setdefault(key, self._heard if key == SILENT else now)
            if now - began >= limit and key not in self._open:
                trouble = self._open[key] = Trouble(what, began)
                new.append(trouble)
        return self._keep(new)

    def report(self, what: str, now: float) -> Trouble:
        """Notes something that was seen elsewhere: a mode that was not entered, an unexpected end of a process."""
        trouble = Trouble(what, now, now)
        self._keep([trouble])
        return trouble

    def _keep(self, new: list[Trouble]) -> list[Trouble]:
        self.troubles.extend(new[: max(0, MOST_TROUBLES - len(self.troubles))])
        return new

    def _conditions(self, status: Any) -> Iterator[tuple[str, str, float]]:
        """What is not as it should be: a name for it, the sentence, and how long it may last [s]."""
        settled = status.mode == status.target_mode
        if not settled:
            yield f"to {status.target_mode}", f"mode {status.target_mode} is being entered", UNEXPECTED_S
        wanted = self._modes.get(status.target_mode, {})
        for node in status.nodes:
            if settled and node.state != wanted.get(node.name, node.state):
                what = f"{node.name} is {node.state} in mode {status.mode}"
                yield what, what, UNEXPECTED_S
            if node.detail:  # its figures may change while it stays the same fault
                yield f"fault of {node.name}", f"{node.name}: {node.detail}", FAULT_S
        for model in status.models:
            if model.state == "FAILED":
                yield f"FAILED {model.name}", f"model {model.name} has FAILED: {model.last_error}", UNEXPECTED_S
