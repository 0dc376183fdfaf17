"""The live terminal view of the demonstration: nodes, models, transcript, mood."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

NOTES = 14
"""Lines of the script that stay visible where the terminal is tall enough."""
STATUS_ROWS = 28
"""Rows of the status above them."""


class DemoView:
    """Shows the stack's status above what happens in the play; on a pipe it prints the notes line by line.

    Args:
        status: renders the newest StackStatus.
        mood: the robot's mood for people.
        console: where to show it.
    """

    def __init__(
        self, status: Callable[[], RenderableType], mood: Callable[[], str], console: Console | None = None
    ) -> None:
        self._status, self._mood = status, mood
        self._console = console or Console()
        self._notes: deque[Text] = deque(maxlen=NOTES)
        self._start = time.monotonic()
        self._live = (
            Live(get_renderable=self._render, console=self._console, refresh_per_second=4, transient=True)
            if self._console.is_terminal
            else None
        )

    def __enter__(self) -> DemoView:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def note(self, text: str) -> None:
        """Adds a line to the play."""
        words = " ".join(text.split())  # a model's answer may hold line breaks
        line = Text(f"{time.monotonic() - self._start:6.1f} s  {words}", no_wrap=True, overflow="ellipsis")
        if text.startswith("MISSED"):
            line.stylize("bold red")
        elif text.startswith("ok:"):
            line.stylize("green")
        self._notes.append(line)
        if self._live is None:
            self._console.print(line.plain, style=line.style, soft_wrap=True, highlight=False, markup=False)

    def _render(self) -> RenderableType:
        rows = max(4, self._console.height - STATUS_ROWS)
        play: Any = Group(*list(self._notes)[-rows:])
        return Group(
            self._status(), Panel(play, title="the play", subtitle=f"mood: {self._mood()}", border_style="dim")
        )
