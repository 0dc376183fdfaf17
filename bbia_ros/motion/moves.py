"""What a move is: a dance made of swings on a beat, or a gesture made of key poses.

A move is an offset over time from a rest pose; it begins and ends at zero. Tables are in degrees and millimetres.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bbia_ros.motion.pose import NEUTRAL, SIZE, Pose
from bbia_ros.motion.trajectory import minimum_jerk

_MM, _DEG = 0.001, math.pi / 180.0
_SCALE = np.array([_MM] * 3 + [_DEG] * 6)
BLEND_S = 0.45
"""Fade at both ends of a dance."""


def sine(c: float) -> float:
    """Even swing; `c` counts cycles."""
    return math.sin(math.tau * c)


def snap(c: float) -> float:
    """Quickly from side to side, with a pause at each."""
    return math.tanh(2.2 * math.sin(math.tau * c)) / math.tanh(2.2)


def peck(c: float) -> float:
    """A short stroke out and back in each cycle, never to the other side."""
    half = 0.5 - 0.5 * math.cos(math.tau * c)
    return half * half


def stagger(c: float) -> float:
    """An uneven swing that never quite repeats."""
    return 0.6 * math.sin(math.tau * c) + 0.4 * math.sin(math.tau * 1.6 * c + 1.0)


@dataclass(frozen=True)
class Swing:
    """One axis moving to the beat.

    Attributes:
        axis: of the pose.
        amplitude: [mm] or [deg].
        rate: cycles per beat.
        phase: cycles by which it is ahead.
        shape: of one cycle.
    """

    axis: int
    amplitude: float
    rate: float
    phase: float = 0.0
    shape: Callable[[float], float] = sine


@dataclass(frozen=True)
class Dance:
    """Swings on a beat, faded in and out.

    Attributes:
        about: one line for people.
        swings: what moves.
        beats: length of one repetition.
        bpm: beats per minute.
    """

    about: str
    swings: tuple[Swing, ...]
    beats: float = 8.0
    bpm: float = 100.0

    @property
    def duration_s(self) -> float:
        """Of one repetition [s]."""
        return self.beats * 60.0 / self.bpm

    @property
    def resting(self) -> Pose:
        """Neutral."""
        return NEUTRAL

    def offset(self, t: float, repeats: int, amplitude: float) -> Pose:
        """Offset at `t` [s] of `repeats` repetitions; zero before and after."""
        end = repeats * self.duration_s
        offset = np.zeros(SIZE)
        if not 0.0 < t < end:
            return offset
        beat = t * self.bpm / 60.0
        for swing in self.swings:
            offset[swing.axis] += swing.amplitude * swing.shape(beat * swing.rate + swing.phase)
        fade = minimum_jerk(min(1.0, t / BLEND_S)) * minimum_jerk(min(1.0, (end - t) / BLEND_S))
        scaled: Pose = (fade * amplitude) * (offset * _SCALE)
        return scaled


@dataclass(frozen=True)
class Gesture:
    """Key poses, each reached at rest with minimum jerk.

    Attributes:
        about: one line for people.
        keys: time [s] and offsets by axis [mm, deg]; axes not named are zero there.
        resting: the pose that the keys are offsets of; the last key of a gesture is at zero, so it ends there.
        lead_in_s: time to get to `resting` first, from wherever the body is; 0: as quickly as is comfortable.
    """

    about: str
    keys: tuple[tuple[float, dict[int, float]], ...]
    resting: Pose = field(default_factory=lambda: NEUTRAL)
    lead_in_s: float = 0.0

    @property
    def duration_s(self) -> float:
        """Of one repetition [s]."""
        return self.keys[-1][0]

    def offset(self, t: float, repeats: int, amplitude: float) -> Pose:
        """Offset at `t` [s] of `repeats` repetitions; the last key's after the end."""
        if t >= repeats * self.duration_s:
            return amplitude * _key(self.keys[-1][1])
        t = max(0.0, t) % self.duration_s
        before_time, before = 0.0, np.zeros(SIZE)
        for time, axes in self.keys:
            after = _key(axes)
            if t < time:
                share = minimum_jerk((t - before_time) / (time - before_time))
                between: Pose = amplitude * (before + share * (after - before))
                return between
            before_time, before = time, after
        return amplitude * before


def _key(axes: dict[int, float]) -> Pose:
    key = np.zeros(SIZE)
    for axis, value in axes.items():
        key[axis] = value
    scaled: Pose = key * _SCALE
    return scaled
