"""Models made once from other models: in a process of its own, so that what that takes never stays in a worker."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path


class ConversionFailed(RuntimeError):
    """A model could not be made: the last line that the process wrote."""


class ConversionTooSlow(ConversionFailed):
    """It was ended because it took too long."""


def run_apart(module: str, *arguments: Path, timeout_s: float, is_made: Callable[[], bool] = lambda: True) -> None:
    """Runs a module of ours as a program and waits for it.

    Args:
        module: its full name.
        *arguments: of its command line.
        timeout_s: after which it is ended [s].
        is_made: whether what it should have made is there.

    Raises:
        ConversionTooSlow: it took longer.
        ConversionFailed: it ended with an error, or without having made anything.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise ConversionTooSlow(f"it took longer than {timeout_s:.0f} s") from error
    if done.returncode != 0 or not is_made():
        raise ConversionFailed((done.stderr.strip().splitlines() or ["no reason given"])[-1])


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock between processes; it goes with its holder."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
