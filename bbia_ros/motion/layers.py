"""What is added to every pose: breathing, the feeling's posture, the wobble of speech.

Each layer fades in and out on its own, so none ever jumps; `update` advances them by one tick and sums them up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bbia_ros.motion.expression import EXPRESSIONS
from bbia_ros.motion.pose import LEFT, PITCH, RIGHT, ROLL, SIZE, YAW, ZERO, Pose, X, Y, Z

ORIENTATION = slice(ROLL, YAW + 1)
QUIET = 1e-5
"""Offsets below this are nothing (a hundredth of a millimetre, a thousandth of a degree)."""


class Fade:
    """A weight that follows a wish smoothly: critically damped, continuous in value and speed."""

    def __init__(self, settle_s: float) -> None:
        """Makes a weight of zero.

        Args:
            settle_s: time to 95 % of a step.
        """
        self._sharpness = 4.74 / settle_s
        self.value, self.speed = 0.0, 0.0

    def towards(self, wish: float, dt: float) -> float:
        """One step of `dt` [s]; exact for a wish that stays, so any step length is stable."""
        w, off = self._sharpness, self.value - wish
        decay, slope = math.exp(-w * dt), self.speed + w * off
        self.value = wish + (off + slope * dt) * decay
        self.speed = (self.speed - w * slope * dt) * decay
        if abs(self.value - wish) < 1e-4 and abs(self.speed) < 1e-3:
            self.value, self.speed = wish, 0.0
        return self.value


class Breathing:
    """Head up and down by 5 mm at 0.1 Hz, antennas by 15 degrees at 0.5 Hz (the official conversation app's values)."""

    HEIGHT, RATE = 0.005, 0.1
    SWAY, SWAY_RATE = math.radians(15.0), 0.5

    def __init__(self) -> None:
        self._fade = Fade(1.0)
        self._phase = 0.0

    def update(self, wanted: bool, dt: float) -> Pose:
        """The offset now; after a pause it starts at the middle of a breath."""
        weight = self._fade.towards(1.0 if wanted else 0.0, dt)
        if weight == 0.0:
            self._phase = 0.0
            return ZERO
        self._phase += dt
        offset = np.zeros(SIZE)
        offset[Z] = weight * self.HEIGHT * math.sin(math.tau * self.RATE * self._phase)
        offset[RIGHT] = weight * self.SWAY * math.sin(math.tau * self.SWAY_RATE * self._phase)
        offset[LEFT] = -offset[RIGHT]
        return offset


class Feeling:
    """The posture of the robot's mood; a change of mood takes `settle_s`."""

    def __init__(self, settle_s: float = 0.9) -> None:
        self._fades = [Fade(settle_s) for _ in range(SIZE)]
        self._flutter = Fade(settle_s)
        self._rate = Fade(settle_s)
        self._wish, self._label, self._intensity = ZERO, "neutral", 0.0
        self._phase = 0.0

    @property
    def label(self) -> str:
        """The feeling that is shown."""
        return self._label

    def show(self, label: str, intensity: float) -> None:
        """Changes the mood.

        Args:
            label: of EXPRESSIONS.
            intensity: clipped to [0, 1].

        Raises:
            ValueError: an unknown label, or an intensity that is no number.
        """
        if label not in EXPRESSIONS:
            raise ValueError(f"there is no expression for {label!r}; there are {', '.join(EXPRESSIONS)}")
        if not math.isfinite(intensity):
            raise ValueError(f"the intensity of {label} must be a number, got {intensity}")
        self._intensity = min(1.0, max(0.0, intensity))
        self._label, self._wish = label, EXPRESSIONS[label].offset(self._intensity)

    def update(self, share: float, gaze_share: float, lively: bool, dt: float) -> Pose:
        """The offset now.

        Args:
            share: of the posture that is wanted beside what plays now, in [0, 1].
            gaze_share: of its pitch and yaw, which would take the eye off what it looks at.
            lively: whether the antennas may flutter.
            dt: [s].
        """
        expression = EXPRESSIONS[self._label]
        offset = np.zeros(SIZE)
        for axis, fade in enumerate(self._fades):
            scale = share * (gaze_share if axis in (PITCH, YAW) else 1.0)
            offset[axis] = fade.towards(scale * float(self._wish[axis]), dt)
        amplitude = self._flutter.towards(
            share * self._intensity * math.radians(expression.flutter_deg) if lively else 0.0, dt
        )
        self._phase += dt * self._rate.towards(expression.flutter_hz, dt)
        if amplitude != 0.0:
            flutter = amplitude * math.sin(math.tau * self._phase)
            offset[RIGHT] += flutter
            offset[LEFT] -= flutter
        return offset

    def settled(self) -> bool:
        """Whether the offset is constant."""
        return self._flutter.value == 0.0 and all(fade.speed == 0.0 for fade in self._fades)


@dataclass(frozen=True)
class Wave:
    """One axis of the wobble: amplitude, frequency [Hz], phase [cycles]."""

    axis: int
    amplitude: float
    rate: float
    phase: float


class SpeechWobble:
    """The head moves with the loudness of its own voice (the official conversation app's amplitudes and rates)."""

    ON_DBFS, OFF_DBFS, LOUD_DBFS = -35.0, -45.0, -15.0
    STALE_S = 0.3
    WAVES = (
        Wave(PITCH, math.radians(4.5), 2.2, 0.0),
        Wave(YAW, math.radians(7.5), 0.6, 0.2),
        Wave(ROLL, math.radians(2.25), 1.3, 0.45),
        Wave(X, 0.0045, 0.35, 0.1),
        Wave(Y, 0.00375, 0.45, 0.6),
        Wave(Z, 0.00225, 0.25, 0.8),
    )

    def __init__(self) -> None:
        self._fade = Fade(0.25)
        self._level, self._heard_at = -math.inf, -math.inf
        self._on = False
        self._phase = 0.0

    def hear(self, now: float, level_dbfs: float) -> None:
        """The loudspeaker's level at a time [s]; -inf or NaN is silence."""
        self._level, self._heard_at = (level_dbfs if level_dbfs == level_dbfs else -math.inf), now

    def update(self, now: float, gaze_share: float, dt: float) -> Pose:
        """The offset now; `gaze_share` scales what takes the eye off its target."""
        if now - self._heard_at > self.STALE_S or self._level < self.OFF_DBFS:
            self._on = False
        elif self._level > self.ON_DBFS:
            self._on = True
        loudness = (self._level - self.OFF_DBFS) / (self.LOUD_DBFS - self.OFF_DBFS) if self._on else 0.0
        weight = self._fade.towards(min(1.0, loudness), dt)
        if weight == 0.0:
            return ZERO
        self._phase += dt
        offset = np.zeros(SIZE)
        for wave in self.WAVES:
            offset[wave.axis] = weight * wave.amplitude * math.sin(math.tau * (wave.rate * self._phase + wave.phase))
        offset[ORIENTATION] *= gaze_share
        return offset

    def quiet(self) -> bool:
        """Whether it adds nothing."""
        return self._fade.value == 0.0 and not self._on


class Listening:
    """Holds the layers' antennas still while somebody speaks, and lets them go over 0.4 s."""

    def __init__(self) -> None:
        self._fade = Fade(0.4)
        self._held = (0.0, 0.0)

    def update(self, wanted: bool, offset: Pose, dt: float) -> Pose:
        """The offset with its antennas held as far as listening goes."""
        if self._fade.value == 0.0:
            self._held = (float(offset[RIGHT]), float(offset[LEFT]))
        weight = self._fade.towards(1.0 if wanted else 0.0, dt)
        if weight == 0.0:
            return offset
        still = offset.copy()
        still[RIGHT] += weight * (self._held[0] - offset[RIGHT])
        still[LEFT] += weight * (self._held[1] - offset[LEFT])
        return still
