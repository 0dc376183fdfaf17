"""From the figures of a moment to one verdict: room, even, strained, low or critical. No ROS in here."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from bbia_ros.manager.pressure import MB, Absent, ControlGroup, Reading, Stall

CALM = 0.25
"""There is room only while PSI is below this share of its threshold: between the two, nothing is taken or given."""


class Level(enum.IntEnum):
    """How short memory is."""

    ROOM = 0
    """More than `room` is left and hardly anybody waits for memory."""
    EVEN = 1
    """Neither short nor plenty: everything stays as it is."""
    STRAINED = 2
    """Tasks wait for memory although there is some: what nobody uses may go, but nothing that is in use."""
    LOW = 3
    """Something must go."""
    CRITICAL = 4
    """Something must go at once: the kernel is about to end processes."""


@dataclass(frozen=True)
class Thresholds:
    """Where the levels begin.

    Attributes:
        low: [byte] LOW below this.
        critical: [byte] CRITICAL below this.
        room: [byte] ROOM at or above this; also what must be left after something has come back.
        some: [%] PSI "some avg10" from which memory counts as short.
        full: [%] PSI "full avg10" from which it counts as critically short.
    """

    low: int = 150 * MB
    critical: int = 80 * MB
    room: int = 300 * MB
    some: float = 20.0
    full: float = 10.0


@dataclass(frozen=True)
class Verdict:
    """What a reading means.

    Attributes:
        level: how short memory is.
        headroom: [byte] what can still be used: MemAvailable, or what the control group leaves if that is less; None:
            not known.
        stalled_only: short by PSI alone, whose window is 10 s: a step shows its effect that late.
        reason: the figures that led to the verdict, each with its threshold.
    """

    level: Level
    headroom: int | None
    stalled_only: bool
    reason: str


def judge(reading: Reading, limits: Thresholds) -> Verdict:
    """The verdict on one reading.

    PSI of the machine counts wholly only while there is no plain room: otherwise somebody else's control group stalls,
    and nothing that we take from the robot helps there.
    """
    bounds = [("MemAvailable", reading.available)] if isinstance(reading.available, int) else []
    if isinstance(reading.group, ControlGroup):
        what = f"control group {reading.group.path} of {reading.group.limit / MB:.0f} MB: left"
        bounds.append((what, reading.group.headroom))
    if not bounds:
        return Verdict(Level.EVEN, None, False, "memory is not known")
    headroom = min(size for _, size in bounds)
    level = Level.ROOM
    said: list[str] = []
    for what, size in bounds:
        one, limit = _level_of(size, limits)
        if one != Level.ROOM:
            said.append(f"{what} {size / MB:.0f} MB < {limit / MB:.0f} MB")
        level = max(level, one)
    by_bytes = level
    own = reading.group.stall if isinstance(reading.group, ControlGroup) else Absent("")
    for what, stall, ours in (("PSI", reading.stall, headroom < limits.room), ("PSI of the control group", own, True)):
        if isinstance(stall, Stall):
            one, words = _stall_level(what, stall, limits)
            if not ours:
                one = min(one, Level.STRAINED)
            said += [words] if one > Level.EVEN else []
            level = max(level, one)
    if level < Level.STRAINED:
        what, size = min(bounds, key=lambda bound: bound[1])
        comparison = f"> {limits.room / MB:.0f} MB" if level == Level.ROOM else "is neither short nor plenty"
        return Verdict(level, headroom, False, f"{what} {size / MB:.0f} MB {comparison}")
    return Verdict(level, headroom, by_bytes < Level.LOW, ", ".join(said))


def _level_of(size: int, limits: Thresholds) -> tuple[Level, int]:
    if size < limits.critical:
        return Level.CRITICAL, limits.critical
    if size < limits.low:
        return Level.LOW, limits.low
    return (Level.EVEN, limits.room) if size < limits.room else (Level.ROOM, limits.room)


def _stall_level(what: str, stall: Stall, limits: Thresholds) -> tuple[Level, str]:
    full = 0.0 if math.isnan(stall.full) else stall.full
    if full >= limits.full:
        return Level.CRITICAL, f"{what} full {full:.0f} %"
    if stall.some >= limits.some:
        return Level.LOW, f"{what} some {stall.some:.0f} %"
    return (Level.EVEN if stall.some >= CALM * limits.some else Level.ROOM), ""
