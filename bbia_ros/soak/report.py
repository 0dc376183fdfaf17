"""The summary of a soak: a table for the terminal, JSON and a plot for the folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bbia_ros.soak.callers import Outcome
from bbia_ros.soak.fit import Line
from bbia_ros.soak.health import Trouble
from bbia_ros.soak.plots import draw, load
from bbia_ros.soak.verdicts import Verdict


def show(console: Console, verdicts: Sequence[Verdict], slopes: Mapping[str, Mapping[str, Line]]) -> None:
    """Prints the verdicts and the slope of each process."""
    table = Table("", "what", "measured", "limit", title="soak", title_justify="left", header_style="dim")
    for verdict in verdicts:
        mark = {True: Text("ok", "green"), False: Text("FAILED", "bold red"), None: Text("-", "dim")}[verdict.passed]
        table.add_row(mark, Text(verdict.what), Text(verdict.measured), Text(verdict.limit))
    console.print(table)
    for part, lines in slopes.items():
        unit = "MB/cycle" if part == "cycles" else "MB/min"
        for name, line in lines.items():
            console.print(
                f"  {part}: anonymous memory of {name} {line.slope:+.3f} {unit} [{line.low:+.3f}, {line.high:+.3f}], "
                f"{line.growth:+.1f} MB over all",
                highlight=False,
                soft_wrap=True,
            )


def save(
    folder: Path,
    record: Path,
    title: str,
    facts: Mapping[str, Any],
    verdicts: Sequence[Verdict],
    slopes: Mapping[str, Mapping[str, Line]],
    troubles: Sequence[Trouble],
    outcomes: Sequence[Outcome],
) -> None:
    """Writes summary.json and soak.png.

    Raises:
        OSError: the folder cannot be written.
    """
    plain = {
        **facts,
        "verdicts": [vars(verdict) for verdict in verdicts],
        "slopes": {part: {name: vars(line) for name, line in lines.items()} for part, lines in slopes.items()},
        "troubles": [vars(trouble) for trouble in troubles],
        "outcomes": [vars(outcome) for outcome in outcomes],
    }
    (folder / "summary.json").write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    (folder / "soak.png").write_bytes(draw(load(record), title))
