"""The mode entered last, kept in a file for a manager that is started again after a crash."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path


class ModeFile:
    """One line with the name of a mode; nothing at all without a path."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None

    def beside(self, name: str) -> Path | None:
        """Path of another file that belongs to it; None without a path."""
        return None if self._path is None else self._path.with_name(f"{self._path.name}.{name}")

    def read(self, known: Container[str]) -> str:
        """The kept mode; empty when there is none, or it is not among the known ones."""
        if self._path is None:
            return ""
        try:
            mode = self._path.read_text(encoding="utf-8").strip()
        except OSError:
            return ""  # the first start
        return mode if mode in known else ""

    def write(self, mode: str) -> str:
        """Keeps the mode; returns a sentence when that did not work."""
        if self._path is not None:
            try:
                self._path.write_text(mode, encoding="utf-8")
            except OSError as error:
                return f"{self._path} cannot be written: {error.strerror}"
        return ""
