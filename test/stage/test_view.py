from __future__ import annotations

import io

from rich.console import Console
from rich.text import Text

from bbia_ros.stage.view import StageView


def view(width: int, height: int, terminal: bool) -> tuple[StageView, Console, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=width, height=height, color_system=None)
    return StageView(lambda: Text("status"), lambda: "calm", console), console, out


def test_the_newest_notes_fit_a_small_terminal_one_line_each() -> None:
    shown, console, out = view(80, 24, terminal=True)
    for number in range(20):
        shown.note(f"note {number} of a model's\n\nanswer " + "x" * 100)
    console.print(shown._render())
    lines = [line for line in out.getvalue().splitlines() if "note" in line]
    assert len(lines) == 4
    assert "note 19" in lines[-1]
    assert all(len(line) <= 80 for line in lines)


def test_on_a_pipe_every_note_is_printed_whole() -> None:
    shown, _, out = view(40, 24, terminal=False)
    shown.note("MISSED: a [thing] " + "y" * 90)
    assert out.getvalue().count("\n") == 1
    assert "[thing] " + "y" * 90 in out.getvalue()
