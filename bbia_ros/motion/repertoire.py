"""The moves the robot knows by name.

The dances carry the names of the official library; the choreography is our own. Millimetres and degrees: positive pitch
is nose down, positive yaw and y are to the left, positive roll tips to the right, the right antenna perks up with a
positive angle, the left one with a negative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bbia_ros.motion.moves import Dance, Gesture, Swing, peck, sine, snap, stagger
from bbia_ros.motion.pose import BODY, LEFT, PITCH, RIGHT, ROLL, SLEEP, YAW, X, Y, Z


def _antennas(
    amplitude: float, rate: float, phase: float = 0.0, shape: Callable[[float], float] = sine
) -> tuple[Swing, Swing]:
    """Both antennas, mirrored."""
    return Swing(RIGHT, amplitude, rate, phase, shape), Swing(LEFT, -amplitude, rate, phase, shape)


DANCES: Final[dict[str, Dance]] = {
    "simple_nod": Dance("nods along with the beat", (Swing(PITCH, 14, 1), *_antennas(15, 1))),
    "head_tilt_roll": Dance("tips the head from side to side", (Swing(ROLL, 18, 0.5), *_antennas(20, 0.5, 0.25))),
    "side_to_side_sway": Dance(
        "sways sideways like a tree",
        (Swing(Y, 18, 0.5), Swing(ROLL, -9, 0.5), Swing(Z, -5, 1, 0.25), *_antennas(18, 0.5)),
    ),
    "dizzy_spin": Dance(
        "circles with the head, dizzy",
        (
            Swing(ROLL, 15, 0.5),
            Swing(PITCH, 12, 0.5, 0.25),
            Swing(BODY, 12, 0.25),
            Swing(YAW, 12, 0.25),
            Swing(Z, -6, 0.0, 0.25),
        ),
    ),
    "stumble_and_recover": Dance(
        "stumbles and catches itself",
        (
            Swing(PITCH, 12, 0.5, 0.0, stagger),
            Swing(ROLL, 11, 0.5, 0.3, stagger),
            Swing(Y, 10, 0.25),
            Swing(Z, -6, 0.5, 0, peck),
        ),
    ),
    "headbanger_combo": Dance(
        "bangs its head",
        (Swing(PITCH, 22, 1, -0.25, peck), Swing(PITCH, -8, 0, 0.25), Swing(Z, -8, 1, -0.25, peck), *_antennas(35, 1)),
        bpm=96.0,
    ),
    "interwoven_spirals": Dance(
        "weaves spirals of different speed",
        (
            Swing(ROLL, 12, 0.25),
            Swing(PITCH, 11, 0.5, 0.25),
            Swing(YAW, 20, 0.125),
            Swing(Z, -6, 0.5, 0, peck),
            *_antennas(25, 0.375),
        ),
        beats=16.0,
    ),
    "sharp_side_tilt": Dance(
        "tilts sharply, side by side", (Swing(ROLL, 19, 0.5, 0.0, snap), *_antennas(22, 0.5, 0.0, snap))
    ),
    "side_peekaboo": Dance(
        "peeks out left and right",
        (
            Swing(Y, 16, 0.25, 0.0, snap),
            Swing(YAW, 22, 0.25, 0.0, snap),
            Swing(ROLL, -8, 0.25, 0.0, snap),
            Swing(Z, -10, 0.5, 0, peck),
        ),
    ),
    "yeah_nod": Dance(
        "nods twice as fast, yeah", (Swing(PITCH, 11, 1, 0, peck), Swing(PITCH, 6, 2), *_antennas(14, 2))
    ),
    "uh_huh_tilt": Dance("uh-huh: tilts and nods", (Swing(ROLL, 13, 0.5), Swing(PITCH, 9, 1, 0.25), *_antennas(12, 1))),
    "neck_recoil": Dance(
        "pulls the neck back at each beat",
        (Swing(X, -18, 1, 0, peck), Swing(PITCH, -7, 1, 0, peck), *_antennas(-25, 1, 0, peck)),
    ),
    "chin_lead": Dance(
        "leads with the chin", (Swing(X, 16, 0.5), Swing(PITCH, -9, 0.5, 0.12), Swing(Z, 4, 1), *_antennas(15, 0.5))
    ),
    "groovy_sway_and_roll": Dance(
        "sways and rolls with a groove",
        (
            Swing(Y, 14, 0.5),
            Swing(ROLL, 13, 0.5, 0.15),
            Swing(PITCH, 6, 1, 0.25),
            Swing(BODY, 8, 0.25),
            Swing(YAW, 8, 0.25),
            *_antennas(25, 0.5, 0.25),
        ),
    ),
    "chicken_peck": Dance(
        "pecks like a chicken",
        (Swing(X, 17, 1, 0, peck), Swing(PITCH, 12, 1, 0.06, peck), *_antennas(20, 1, 0.2, peck)),
    ),
    "side_glance_flick": Dance(
        "flicks a glance to each side",
        (Swing(YAW, 26, 0.25, 0.0, snap), Swing(PITCH, -5, 0.5, 0, peck), *_antennas(30, 0.5, 0.25, snap)),
    ),
    "polyrhythm_combo": Dance(
        "three against two",
        (Swing(PITCH, 9, 0.75), Swing(ROLL, 11, 0.5), Swing(YAW, 12, 0.25), *_antennas(24, 0.75, 0.1)),
        beats=12.0,
    ),
    "grid_snap": Dance(
        "snaps between the corners of a grid",
        (Swing(YAW, 16, 0.25, 0.0, snap), Swing(PITCH, 9, 0.25, 0.25, snap), *_antennas(18, 0.5, 0, snap)),
    ),
    "pendulum_swing": Dance(
        "swings like a pendulum",
        (Swing(ROLL, 20, 0.25), Swing(Y, -12, 0.25), Swing(Z, -4, 0.5, 0, peck), *_antennas(30, 0.25)),
    ),
    "jackson_square": Dance(
        "draws a square",
        (
            Swing(Y, 15, 0.25, 0.0, snap),
            Swing(Z, -8, 0.25, 0.25, snap),
            Swing(Z, -8, 0, 0.25),
            Swing(ROLL, 8, 0.5),
            *_antennas(20, 1),
        ),
    ),
}
"""The official library's twenty, by name."""

GESTURES: Final[dict[str, Gesture]] = {
    "nod": Gesture("yes", ((0.3, {PITCH: 13}), (0.6, {PITCH: -4}), (0.9, {PITCH: 11}), (1.3, {}))),
    "shake": Gesture("no", ((0.3, {YAW: 16}), (0.65, {YAW: -16}), (1.0, {YAW: 12}), (1.3, {YAW: -6}), (1.6, {}))),
    "greeting": Gesture(
        "hello: head up, antennas wave",
        (
            (0.4, {PITCH: -8, Z: 5, ROLL: 7, RIGHT: 35, LEFT: -35}),
            (0.7, {PITCH: -8, Z: 5, ROLL: 7, RIGHT: -20, LEFT: 20}),
            (1.0, {PITCH: -8, Z: 5, ROLL: 7, RIGHT: 35, LEFT: -35}),
            (1.3, {PITCH: 6, RIGHT: -10, LEFT: 10}),
            (1.8, {}),
        ),
    ),
    "bow": Gesture(
        "bows", ((0.6, {PITCH: 26, X: 8, Z: -12, RIGHT: -25, LEFT: 25}), (1.1, {PITCH: 26, X: 8, Z: -12}), (1.8, {}))
    ),
    "think": Gesture(
        "ponders",
        ((0.6, {PITCH: -9, YAW: 16, ROLL: 8, RIGHT: 15, LEFT: 25}), (1.8, {PITCH: -10, YAW: 18, ROLL: 8}), (2.5, {})),
    ),
    "antenna_twitch": Gesture("twitches the antennas", ((0.2, {RIGHT: 30}), (0.45, {LEFT: -30}), (0.8, {}))),
    "wake_up": Gesture(
        "lifts the head, shakes off sleep",
        (
            (2.0, {}),
            (2.3, {ROLL: 9, RIGHT: 30, LEFT: 30}),
            (2.6, {ROLL: -9, RIGHT: -30, LEFT: -30}),
            (2.9, {ROLL: 5, PITCH: -4, RIGHT: 15, LEFT: -15}),
            (3.3, {}),
        ),
        lead_in_s=2.0,
    ),
    "goto_sleep": Gesture("lays the head down", ((2.4, {}),), resting=SLEEP, lead_in_s=2.2),
}
"""Gestures of our own, by name. `wake_up` and `goto_sleep` change between the two rest poses."""

MOVES: Final[dict[str, Dance | Gesture]] = {**GESTURES, **DANCES}


def find(name: str) -> Dance | Gesture:
    """The move of that name.

    Raises:
        ValueError: there is none; the text lists what there is.
    """
    try:
        return MOVES[name]
    except KeyError:
        raise ValueError(f"there is no move {name!r}; there are {', '.join(sorted(MOVES))}") from None
