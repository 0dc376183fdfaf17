"""The smallest engine there is, and one that holds memory: what remains is the cost of the worker itself."""

from __future__ import annotations

from typing import Any


class Toy:
    """Returns what it gets."""

    def __init__(self, megabytes: int = 0) -> None:
        self._data = bytearray(b"\x01") * (megabytes * 1_000_000)

    def echo(self, value: Any = None) -> Any:
        """The value itself."""
        return value

    def shape(self, image: Any) -> Any:
        """What an engine returns for an image: something small."""
        return image.shape

    def count(self, items: int) -> Any:
        """A stream."""
        yield from range(items)
