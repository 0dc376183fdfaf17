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

MARKS = {True: ("ok", "green"), False: ("FAILED", "bold red"), None: ("-", "dim")}
"""A verdict in words."""
TABLE_WIDTH = 110
"""A narrower terminal, and a file, get lines instead of a table."""


def show(console: Console, verdicts: Sequence[Verdict], slopes: Mapping[str, Mapping[str, Line]]) -> None:
    """Prints the verdicts and the slope of each process."""
    if console.is_terminal and console.width >= TABLE_WIDTH:
        table = Table("", "what", "measured", "limit", title="soak", title_justify="left", header_style="dim")
        for verdict in verdicts:
            mark = Text(*MARKS[verdict.passed])
            table.add_row(mark, Text(verdict.what), Text(verdict.measured), Text(verdict.limit))
        console.print(table)
    else:
        for verdict in verdicts:
            word, style = MARKS[verdict.passed]
            limit = f" ({verdict.limit})" if verdict.limit else ""
            _line(console, Text.assemble((f"{word:7}", style), f"{verdict.what}: {verdict.measured}{limit}"))
    for part, lines in slopes.items():
        unit = "MB/cycle" if part == "cycles" else "MB/min"
        for name, line in lines.items():
            slope = f"{line.slope:+.3f} {unit} [{line.low:+.3f}, {line.high:+.3f}], {line.growth:+.1f} MB over all"
            _line(console, Text(f"       {part}: anonymous memory of {name}: {slope}", "dim"))


def _line(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True, highlight=False)


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
