"""Measurements of the stack at rest: in sleep, everything else gone, memory unchanged for a moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bbia_ros.soak.record import read
from bbia_ros.soak.sampling import Sample

CYCLES, HOUSEHOLD = "cycles", "household"
"""The two parts of a soak: sleep-converse cycles, then random use."""


@dataclass(frozen=True)
class Rest:
    """One measurement at rest.

    Attributes:
        part: cycles or household.
        number: of the cycle, or of the rest in its part, from 1.
        t: time of the record [s].
        sample: what was measured.
        settled: whether memory had come to rest and all workers were gone that should.
        used: tasks whose models were in memory since the rest before.
    """

    part: str
    number: int
    t: float
    sample: Sample
    settled: bool = True
    used: tuple[str, ...] = field(default=())

    def plain(self) -> dict[str, Any]:
        """For the record."""
        return {"part": self.part, "number": self.number, "settled": self.settled, "used": list(self.used),
                **self.sample.plain()}  # fmt: skip

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Rest:
        """The rest that `plain` was made of, with its time."""
        return cls(
            data["part"], data["number"], data["t"], Sample.from_plain(data), data["settled"], tuple(data["used"])
        )


def load_rests(record: Path, part: str) -> list[Rest]:
    """The measurements at rest of one part of a soak, in order."""
    lines = (line for line in read(record) if line["kind"] == "rest" and line["part"] == part)
    return [Rest.from_plain(line) for line in lines]
