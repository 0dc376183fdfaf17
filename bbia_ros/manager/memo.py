"""What is given up, kept in a file for a manager that is started again: it would not know what to bring back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from bbia_ros.manager.situation import Kind, Step

_NAMES = {field.name for field in fields(Step)} - {"kind", "along"}


class Memo:
    """The steps down that are in force; nothing at all without a path.

    Args:
        path: of the file; None: none is kept.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def write(self, steps: Iterable[Step]) -> str:
        """Keeps the steps; returns a sentence when that did not work."""
        if self._path is None:
            return ""
        text = json.dumps([{**asdict(step), "kind": step.kind.name} for step in steps], indent=1)
        new = self._path.with_name(self._path.name + ".new")
        try:
            new.write_text(text, encoding="utf-8")
            new.replace(self._path)
        except OSError as error:
            return f"{self._path} cannot be written: {error.strerror}"
        return ""

    def read(self) -> list[Step]:
        """The steps that were kept; none where there is no such file, or it does not hold any."""
        if self._path is None:
            return []
        try:
            rows = json.loads(self._path.read_text(encoding="utf-8"))
            return [_step(row) for row in rows]
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return []  # the first start, or a file that somebody else wrote


def _step(row: dict[str, Any]) -> Step:
    kind = Kind[row["kind"]]
    if kind not in (Kind.SMALLER, Kind.GIVE_UP):
        raise ValueError(f"{kind} is not given up")
    return Step(kind=kind, along=tuple(row["along"]), **{name: row[name] for name in _NAMES})
