"""Gives the free memory in our heap back to the system."""

from __future__ import annotations

import ctypes


def trim() -> None:
    """Returns whole free pages of malloc's heap to the system; what is in use stays where it is.

    glibc gives back only what is free at the heap's end, and what lies between live blocks never. Takes a fraction of a
    millisecond for a heap of tens of megabytes, during which other threads wait for malloc. Without glibc it does
    nothing: other allocators return pages by themselves.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        pass
