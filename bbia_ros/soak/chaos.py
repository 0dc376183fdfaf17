"""Kills, stops and starves workers of the stack at random."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

from bbia_ros.soak.processes import PROCESS, Member, NotOurs, alive, send, workers

KILL, STOP, STARVE = "kill", "stop", "starve"
KINDS = {KILL: 4, STOP: 3, STARVE: 3}
"""How likely each is, relative to the others."""
PAUSE_S = (0.5, 30.0, 6.0)
"""Shortest, longest and mean time between two strikes [s]."""
STOP_S = (0.5, 20.0)
"""A worker is stopped for so long, short stops being likelier: the logarithm is uniform [s]."""
STARVE_S = (2.0, 12.0)
DUTY_S = (0.09, 0.01)
"""A starving worker is stopped and runs for so long in turn, on one core [s]: it gets a tenth of it."""
PROCESS_SHARE = 0.1
"""How often a process with nodes is killed instead, where that is wanted."""


@dataclass(frozen=True)
class Strike:
    """What was done to whom.

    Attributes:
        kind: kill, stop or starve.
        victim: the process.
        duration: of a stop or starvation as drawn [s]; it ends earlier when its victim does.
        at: monotonic time [s].
    """

    kind: str
    victim: Member
    duration: float
    at: float


class Chaos:
    """Strikes from a thread of its own until it is closed; one strike at a time.

    Does not own: anything. Whatever it stopped runs again when the strike or the chaos ends.

    Attributes:
        struck: how many strikes there were.
        error: why it ended early; None as long as it goes on.
    """

    def __init__(
        self,
        random: Random,
        members: Callable[[], Sequence[Member]],
        on_strike: Callable[[Strike], None],
        *,
        processes: bool = False,
        pause_s: tuple[float, float, float] = PAUSE_S,
    ) -> None:
        """Prepares; `start` begins.

        Args:
            random: the source of chance.
            members: the stack's processes now.
            on_strike: told just before each strike.
            processes: strike the processes with nodes too, now and then.
            pause_s: shortest, longest and mean time between two strikes.
        """
        self._random, self._members, self._on_strike = random, members, on_strike
        self._processes, self._pause_s = processes, pause_s
        self._stop, self._held = threading.Event(), threading.Event()
        self._idle = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="chaos", daemon=True)
        self.struck = 0
        self.error: BaseException | None = None

    def start(self) -> None:
        """Begins to strike."""
        self._thread.start()

    def close(self) -> None:
        """Ends the present strike and the thread."""
        self._stop.set()
        self._held.set()
        if self._thread.is_alive():
            self._thread.join()

    @contextmanager
    def held(self) -> Iterator[None]:
        """A stretch without strikes; the present one is ended first."""
        self._held.set()
        try:
            with self._idle:
                yield
        finally:
            if not self._stop.is_set():
                self._held.clear()

    def choose(self, members: Sequence[Member]) -> tuple[str, Member, float] | None:
        """Kind, victim and duration [s] of the next strike; None while there is nobody to strike."""
        candidates = sorted(workers(members), key=lambda member: member.key)
        roots = [member for member in members if member.kind == PROCESS]
        if self._processes and roots and self._random.random() < PROCESS_SHARE:
            return KILL, self._random.choice(sorted(roots, key=lambda member: member.name)), 0.0
        if not candidates:
            return None
        kind = self._random.choices(list(KINDS), list(KINDS.values()))[0]
        victim = self._random.choice(candidates)
        if kind == STOP:
            return kind, victim, math.exp(self._random.uniform(*(math.log(limit) for limit in STOP_S)))
        return kind, victim, self._random.uniform(*STARVE_S) if kind == STARVE else 0.0

    def strike(self, kind: str, victim: Member, duration: float) -> None:
        """Does it, and undoes it in time; nothing happens when the victim has gone.

        Raises:
            PermissionError: the victim may not be signalled.
        """
        if not alive(victim):
            return
        self.struck += 1
        self._on_strike(Strike(kind, victim, duration, time.monotonic()))
        try:
            if kind == KILL:
                send(victim, signal.SIGKILL)
            elif kind == STOP:
                self._stopped(victim, duration)
            else:
                self._starve(victim, duration)
        except NotOurs:
            pass  # it ended by itself

    def _stopped(self, victim: Member, duration: float) -> None:
        send(victim, signal.SIGSTOP)
        try:
            self._held.wait(duration)
        finally:
            send(victim, signal.SIGCONT)

    def _starve(self, victim: Member, duration: float) -> None:
        cores = os.sched_getaffinity(victim.pid) if alive(victim) else set()
        _pin(victim, set(sorted(cores)[:1]))
        end = time.monotonic() + duration
        try:
            while time.monotonic() < end and not self._held.is_set():
                self._stopped(victim, DUTY_S[0])
                self._held.wait(DUTY_S[1])
        finally:
            _pin(victim, cores)

    def _run(self) -> None:
        try:
            self._strike_again_and_again()
        except Exception as error:  # whoever thinks that there is chaos must know when there is none
            self.error = error

    def _strike_again_and_again(self) -> None:
        shortest, longest, mean = self._pause_s
        while not self._stop.wait(min(longest, max(shortest, self._random.expovariate(1 / mean)))):
            with self._idle:  # waits while it is held
                if self._stop.is_set():
                    return
                chosen = self.choose(self._members())
                if chosen is not None:
                    self.strike(*chosen)


def _pin(victim: Member, cores: set[int]) -> None:
    """Sets the cores of the process's main thread, which runs its calls."""
    if cores and alive(victim):
        try:
            os.sched_setaffinity(victim.pid, cores)
        except OSError:
            pass  # it ended just now
