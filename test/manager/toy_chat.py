"""An engine that knows its own name."""

from __future__ import annotations


class Toy:
    def __init__(self, model: str, device: str, threads: int) -> None:
        self.model = model

    def who(self) -> str:
        return self.model
