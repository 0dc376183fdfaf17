"""The live terminal view of a run: the stack's nodes and models, and what happens."""

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
"""Lines of what happens that stay visible where the terminal is tall enough."""
STATUS_ROWS = 28
"""Rows of the status above them."""


class StageView:
    """Shows the stack's status above what happens; on a pipe it prints the notes line by line.

    Args:
        status: renders the newest StackStatus.
        footer: one line below the notes, for instance the robot's mood.
        console: where to show it.
        title: of the notes.
    """

    def __init__(
        self,
        status: Callable[[], RenderableType],
        footer: Callable[[], str],
        console: Console | None = None,
        title: str = "the play",
    ) -> None:
        self._status, self._footer, self._title = status, footer, title
        self._console = console or Console()
        self._notes: deque[Text] = deque(maxlen=NOTES)
        self._start = time.monotonic()
        self._live = (
            Live(get_renderable=self._render, console=self._console, refresh_per_second=4, transient=True)
            if self._console.is_terminal
            else None
        )

    def __enter__(self) -> StageView:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def note(self, text: str) -> None:
        """Adds a line to what happens."""
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
        notes: Any = Group(*list(self._notes)[-rows:])
        return Group(self._status(), Panel(notes, title=self._title, subtitle=self._footer(), border_style="dim"))
