"""What can be set about the robot's idle life and its gaze."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How the composer behaves; the node's parameters of the same names document them.

    Attributes:
        breathing: whether to breathe while idle.
        glances: whether to look around while nobody is there.
        follow_faces: whether the gaze follows the nearest face.
        idle_after_s: without a primary for this long, breathing starts.
        idle_timeout_s: without anyone for this long, idle animation ends; 0: never.
        follow_gain: share of each sighting's residual that is believed.
        follow_hold_s: how long a lost face keeps the gaze.
        follow_lead_s: how far ahead the gaze aims, for the head's own lag.
        gaze_share: share of feelings' and speech's head rotation while following a face.
        assumed_distance_m: of faces whose distance is unknown.
    """

    breathing: bool = True
    glances: bool = True
    follow_faces: bool = True
    idle_after_s: float = 0.3
    idle_timeout_s: float = 30.0
    follow_gain: float = 0.6
    follow_hold_s: float = 2.0
    follow_lead_s: float = 0.12
    gaze_share: float = 0.35
    assumed_distance_m: float = 0.8
