"""How the robot holds itself when it feels something: one posture per emotion, each unlike all others.

Happy looks up, sad looks down: positive pitch is nose down. Antennas: 0 is upright, `droop` turns both outwards and
down from their neutral 10 degrees, a negative one perks them up and inwards; `tilt` leans both the same way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from bbia_ros.motion.pose import LEFT, PITCH, RIGHT, ROLL, SIZE, YAW, Pose, X, Z


@dataclass(frozen=True)
class Expression:
    """An offset from the neutral pose at full intensity, and the antennas' flutter.

    Attributes:
        forward_mm: head forward [mm]; negative: recoils.
        up_mm: head up [mm].
        roll_deg: head tilt, positive to the robot's right [deg].
        pitch_deg: positive nose down [deg].
        yaw_deg: positive to the left [deg].
        droop_deg: both antennas outwards and down [deg].
        tilt_deg: both antennas to the robot's left [deg].
        flutter_deg: amplitude of the antennas' flutter [deg].
        flutter_hz: its frequency.
    """

    forward_mm: float = 0.0
    up_mm: float = 0.0
    roll_deg: float = 0.0
    pitch_deg: float = 0.0
    yaw_deg: float = 0.0
    droop_deg: float = 0.0
    tilt_deg: float = 0.0
    flutter_deg: float = 0.0
    flutter_hz: float = 0.0

    def offset(self, intensity: float) -> Pose:
        """What to add to a pose for that intensity in [0, 1]."""
        offset = np.zeros(SIZE)
        offset[X], offset[Z] = self.forward_mm / 1000.0, self.up_mm / 1000.0
        offset[ROLL], offset[PITCH], offset[YAW] = map(math.radians, (self.roll_deg, self.pitch_deg, self.yaw_deg))
        offset[RIGHT] = math.radians(self.tilt_deg - self.droop_deg)
        offset[LEFT] = math.radians(self.tilt_deg + self.droop_deg)
        return intensity * offset


EXPRESSIONS: Final[dict[str, Expression]] = {
    "neutral": Expression(),
    "happy": Expression(up_mm=4, pitch_deg=-12, droop_deg=-25, flutter_deg=8, flutter_hz=1.2),
    "sad": Expression(forward_mm=-4, up_mm=-14, pitch_deg=20, droop_deg=110),
    "angry": Expression(forward_mm=8, up_mm=-4, pitch_deg=9, droop_deg=45),
    "curious": Expression(forward_mm=7, roll_deg=13, pitch_deg=-4, droop_deg=-15, tilt_deg=15),
    "excited": Expression(up_mm=5, pitch_deg=-9, droop_deg=-38, flutter_deg=18, flutter_hz=2.2),
    "surprised": Expression(forward_mm=-10, up_mm=7, pitch_deg=-7, droop_deg=-50),
    "fearful": Expression(forward_mm=-14, up_mm=-14, pitch_deg=7, droop_deg=140, flutter_deg=4, flutter_hz=5.0),
    "calm": Expression(up_mm=-5, pitch_deg=4, droop_deg=22),
    "confused": Expression(roll_deg=-15, pitch_deg=3, droop_deg=15, tilt_deg=-35),
    "determined": Expression(forward_mm=6, up_mm=3, pitch_deg=5, droop_deg=-12),
    "nostalgic": Expression(up_mm=-6, roll_deg=8, pitch_deg=-6, yaw_deg=14, droop_deg=65),
    "proud": Expression(forward_mm=-4, up_mm=9, pitch_deg=-17, droop_deg=-8),
}
"""Posture of each emotion that the robot expresses (robot.md's twelve, and calm)."""
