"""Processes of the stack as children of this one: started, logged, restarted, ended in order. No ROS in here."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

LOG_BYTES = 10_000_000
"""A log file is rotated at this size; one older file is kept."""
TAIL_LINES = 50
"""Last lines of each process that are kept for error messages."""
BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Waiting time before the first, second, ... restart in a row; the last one repeats."""
HEALTHY_S = 60.0
"""A process that ran this long starts again at the first waiting time."""
STOP_S = 4.5
"""An ordered stop takes at most this long; what is left then is killed."""


@dataclass(frozen=True)
class Program:
    """What to run: name, command line, environment (None: ours), stage of a shutdown in which it ends (0 first)."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    stage: int = 0


class RotatingLog:
    """A log file that is renamed to `.1` when it reaches its limit. Written by one thread."""

    def __init__(self, path: Path, limit: int = LOG_BYTES) -> None:
        self._path = path
        self._limit = limit
        self._file = path.open("ab")
        self._size = self._file.tell()

    def write(self, data: bytes) -> None:
        """Appends, and rotates first when the file would grow over its limit."""
        if self._size and self._size + len(data) > self._limit:
            self._file.close()
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._file = self._path.open("ab")
            self._size = 0
        self._file.write(data)
        self._file.flush()
        self._size += len(data)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


@dataclass
class Child:
    """A running or waiting program."""

    program: Program
    log: RotatingLog
    popen: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    start_at: float = 0.0
    ended: bool = False
    rest: bytes = b""
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))


class Children:
    """Owns the child processes and their logs.

    One thread starts them, reads their output and notices their end. Each child holds the reading end of a pipe as
    standard input: when this process dies, however it dies, the pipe closes and the child ends itself.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        log_folder: Path,
        on_line: Callable[[str, str], None] = lambda name, line: None,
        on_event: Callable[[str, str], None] = lambda name, event: None,
    ) -> None:
        """Starts nothing yet.

        Args:
            programs: to run.
            log_folder: one `<name>.log` each goes there.
            on_line: told of every line that a child prints, from the thread of this object.
            on_event: told when a child has ended by itself or was started again.
        """
        self._children = {program.name: Child(program, RotatingLog(log_folder / f"{program.name}.log"))
                          for program in programs}  # fmt: skip
        self._on_line = on_line
        self._on_event = on_event
        self._selector = selectors.DefaultSelector()
        self._stopping = threading.Event()
        self._kill = threading.Event()
        self._thread = threading.Thread(target=self._run, name="children", daemon=True)
        self._wake_read, self._wake_write = os.pipe()
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)

    def start(self) -> None:
        """Starts every program; returns at once."""
        self._thread.start()

    @property
    def pids(self) -> dict[str, int]:
        """Pid of every program that runs now."""
        return {name: child.popen.pid for name, child in self._children.items() if child.popen is not None}

    def failures(self) -> dict[str, int]:
        """How often in a row each program has ended soon after its start."""
        return {name: child.failures for name, child in self._children.items()}

    def tail(self, name: str) -> list[str]:
        """The last lines a program printed."""
        return list(self._children[name].tail)

    def stop(self, timeout_s: float = STOP_S) -> None:
        """Ends everything in order and returns when nothing is left; safe to call at any moment and twice."""
        self._deadline = time.monotonic() + timeout_s
        self._stopping.set()
        self._poke()
        if self._thread.ident is not None:
            self._thread.join(timeout_s + 2.0)

    def kill(self) -> None:
        """Ends everything at once, without order. For an impatient user; to be followed by `stop`."""
        self._kill.set()
        self._poke()

    def _poke(self) -> None:
        try:
            os.write(self._wake_write, b"x")
        except OSError:
            pass  # the thread has ended and closed the pipe

    # In the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                now = time.monotonic()
                for child in self._children.values():
                    if child.popen is None and now >= child.start_at and not self._stopping.is_set():
                        self._start(child)
                self._attend(0.1)
            self._end_in_order()
        finally:
            for child in self._children.values():
                if child.popen is not None:
                    self._signal(child, signal.SIGKILL)
                    child.popen.wait()
                child.log.close()
            self._selector.close()
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _start(self, child: Child) -> None:
        child.started = time.monotonic()
        try:
            # A session of its own: a Ctrl-C in the terminal reaches us alone, and we end the children in order.
            child.popen = subprocess.Popen(
                child.program.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                env=child.program.environment, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            self._failed(child, f"cannot be started: {error}")
            return
        assert child.popen.stdout is not None
        os.set_blocking(child.popen.stdout.fileno(), False)
        self._selector.register(child.popen.stdout, selectors.EVENT_READ, child)
        if child.failures:
            self._on_event(child.program.name, f"started again (pid {child.popen.pid})")

    def _failed(self, child: Child, what: str) -> None:
        if time.monotonic() - child.started >= HEALTHY_S:
            child.failures = 0
        wait = BACKOFF_S[min(child.failures, len(BACKOFF_S) - 1)]
        child.failures += 1
        child.start_at = time.monotonic() + wait
        child.popen = None
        if not self._stopping.is_set():
            self._on_event(child.program.name, f"{what}; starting it again in {wait:g} s")

    def _attend(self, timeout_s: float) -> None:
        """Reads what has been printed, then looks who has ended."""
        for key, _ in self._selector.select(timeout_s):
            if key.data is None:
                os.read(self._wake_read, 4096)
            else:
                self._read(key.data, key.fileobj)  # type: ignore[arg-type]
        for child in self._children.values():
            popen = child.popen
            # WNOWAIT: until it is reaped its process group cannot belong to anybody else.
            if popen is None or os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            self._signal(child, signal.SIGKILL)
            code = popen.wait()
            assert popen.stdout is not None
            assert popen.stdin is not None
            self._read(child, popen.stdout)
            for stream in (popen.stdout, popen.stdin):
                if stream is popen.stdout and stream.fileno() in self._selector.get_map():
                    self._selector.unregister(stream)
                stream.close()
            reason = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            self._failed(child, f"process {child.program.name} (pid {popen.pid}) {reason}")

    def _read(self, child: Child, stream: IO[bytes]) -> None:
        while True:
            try:
                data = os.read(stream.fileno(), 65536)
            except BlockingIOError:
                return
            if not data:
                if stream.fileno() in self._selector.get_map():
                    self._selector.unregister(stream)
                return
            child.log.write(data)
            *lines, child.rest = (child.rest + data).split(b"\n")
            child.rest = child.rest[-4096:]
            for line in lines:
                text = line.decode("utf-8", "replace")
                child.tail.append(text)
                self._on_line(child.program.name, text)

    @staticmethod
    def _signal(child: Child, number: signal.Signals) -> None:
        """SIGKILL reaches the workers of the process too; anything else only the process, which ends them itself."""
        assert child.popen is not None
        try:
            if number == signal.SIGKILL:
                os.killpg(child.popen.pid, number)
            else:
                os.kill(child.popen.pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # gone already

    def _end_in_order(self) -> None:
        stages = sorted({child.program.stage for child in self._children.values() if child.popen is not None})
        for index, stage in enumerate(stages):
            left = self._deadline - time.monotonic()
            stage_end = time.monotonic() + left / (len(stages) - index)
            ending = [child for child in self._children.values() if child.program.stage == stage]
            for child in ending:
                if child.popen is not None:
                    self._signal(child, signal.SIGTERM)
            while any(child.popen is not None for child in ending):
                if time.monotonic() >= stage_end or self._kill.is_set():
                    for child in ending:
                        if child.popen is not None:
                            self._signal(child, signal.SIGKILL)
                self._attend(0.05)
