"""An engine that weighs as much as its model's file says."""

from __future__ import annotations

from pathlib import Path


class Ballast:
    """Holds memory and nothing else."""

    def __init__(self, model: str, device: str = "cpu", threads: int = 1) -> None:
        self._name = Path(model).name
        self._data = b"\x01" * (int(Path(model).read_text()) * 1_000_000)

    def name(self) -> str:
        """Of the model."""
        return self._name
