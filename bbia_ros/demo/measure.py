"""Figures taken from the messages of a run. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from bbia_ros.geometry import angle_between, azimuth_elevation, euler_from_rotation, matrix_from_pose


@dataclass(frozen=True)
class Finding:
    """One expectation and what came of it.

    Attributes:
        key: short name, for instance "follow".
        wanted: what was expected, with its limit.
        measured: what was seen, with its figure.
        passed: whether the expectation was met.
    """

    key: str
    wanted: str
    measured: str
    passed: bool


def gaze_error(state: Any, point: Any) -> float:
    """Angle between the eye camera's optical axis and the direction to a point in world [rad].

    Args:
        state: SimulationState.
        point: geometry_msgs/Point in world.
    """
    camera = matrix_from_pose(state.camera)
    return angle_between(camera[:3, 2], np.array([point.x, point.y, point.z]) - camera[:3, 3])


def visitor_errors(states: Iterable[Any]) -> list[float]:
    """Gaze error towards the visitor for each state in which one is present [rad]."""
    return [gaze_error(state, state.visitor) for state in states if state.visitor_present]


def object_errors(states: Iterable[Any], label: str) -> list[float]:
    """Gaze error towards the object of that name for each state that has it [rad]."""
    return [
        gaze_error(state, state.objects[state.object_names.index(label)])
        for state in states
        if label in state.object_names
    ]


def median_pitch(poses: Sequence[Any]) -> float:
    """Median head pitch [rad], positive nose down; NaN without poses."""
    pitches = [euler_from_rotation(matrix_from_pose(stamped.pose)[:3, :3])[1] for stamped in poses]
    return median(pitches) if pitches else math.nan


def nose_lift(states: Iterable[Any]) -> float:
    """How far the nose is held above a straight look at the visitor [rad], median; NaN when nobody is there.

    A posture shows in this figure alone: the visitor's height and distance cancel out.
    """
    lifts = []
    for state in states:
        if state.visitor_present:
            camera, point = matrix_from_pose(state.camera), state.visitor
            towards = np.array([point.x, point.y, point.z]) - camera[:3, 3]
            lifts.append(azimuth_elevation(camera[:3, 2])[1] - azimuth_elevation(towards)[1])
    return median(lifts) if lifts else math.nan


def seconds(stamp: Any) -> float:
    """A builtin_interfaces/Time as seconds."""
    return float(stamp.sec) + 1e-9 * float(stamp.nanosec)


def first_sound(chunks: Iterable[Any], utterances: Iterable[str] | None = None) -> float | None:
    """Stamp of the first chunk that carries samples [s], of the given utterances if any are named."""
    wanted = None if utterances is None else set(utterances)
    stamps = [
        seconds(chunk.header.stamp)
        for chunk in chunks
        if len(chunk.samples) and (wanted is None or chunk.utterance_id in wanted)
    ]
    return min(stamps) if stamps else None


def degrees(angle: float) -> str:
    """An angle [rad] for people."""
    return "unknown" if math.isnan(angle) else f"{math.degrees(angle):.1f} deg"
