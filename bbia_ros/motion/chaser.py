"""The head's own way of turning to a direction: quick, smooth, the body following when it is far out."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bbia_ros.driver.reachy_mini import ENVELOPE
from bbia_ros.motion.pose import BODY, NEUTRAL, PITCH, YAW, ZERO, Pose


@dataclass
class Axis:
    """One angle that chases another: critically damped nearby, with bounded speed and acceleration farther off.

    The cascade (position to speed by the square root of what braking allows, speed to acceleration) is the usual one of
    flight controllers; in its linear part it is x'' = w^2 e + 2 w e'.

    Attributes:
        angle: [rad].
        speed: [rad/s].
        fastest: [rad/s].
        hardest: [rad/s^2].
    """

    angle: float = 0.0
    speed: float = 0.0
    fastest: float = 2.5
    hardest: float = 15.0

    def chase(self, target: float, target_speed: float, sharpness: float, dt: float) -> None:
        """One step towards a target that moves itself.

        Args:
            target: [rad].
            target_speed: [rad/s].
            sharpness: w [1/s]; a small error falls to 1/e in about 2 / w.
            dt: [s].
        """
        error = target - self.angle
        pull = min(0.5 * sharpness * abs(error), math.sqrt(1.4 * self.hardest * abs(error)))
        wanted = _clip(target_speed + math.copysign(pull, error), self.fastest)
        # Not beyond what closes the gap of speed within this step: long steps must not oscillate.
        change = min(2.0 * sharpness * dt, 1.0) * (wanted - self.speed)
        self.speed += _clip(change, self.hardest * dt)
        self.angle += self.speed * dt


class Gaze:
    """Head yaw, head pitch and body yaw of a head that looks at things. Owns their motion.

    The body stays where it is while the head's yaw is within `slack` of it, is dragged along beyond that, and turns
    slower than the head.
    """

    def __init__(self, slack: float = math.radians(25.0)) -> None:
        """A gaze straight ahead at rest.

        Args:
            slack: [rad].
        """
        self.yaw, self.pitch = Axis(), Axis()
        self.body = Axis(fastest=1.5, hardest=6.0)
        self._slack = slack
        self._body_goal = 0.0

    def start(self, yaw: float, pitch: float, body: float) -> None:
        """Continues at rest from these angles [rad]."""
        self.yaw.angle, self.pitch.angle, self.body.angle, self._body_goal = yaw, pitch, body, body
        self.yaw.speed = self.pitch.speed = self.body.speed = 0.0

    def look(
        self,
        yaw: float,
        pitch: float,
        dt: float,
        *,
        yaw_speed: float = 0.0,
        pitch_speed: float = 0.0,
        sharpness: float = 12.0,
    ) -> None:
        """One step towards a direction [rad] that moves [rad/s]; what the envelope forbids is not chased."""
        limit = ENVELOPE.body_yaw + self._slack
        yaw, pitch = _clip(yaw, min(limit, ENVELOPE.head_yaw)), _clip(pitch, ENVELOPE.pitch)
        self._body_goal = yaw - _clip(yaw - self._body_goal, self._slack)
        self._step(yaw, pitch, yaw_speed, pitch_speed, sharpness, dt)

    def relax(self, dt: float, sharpness: float = 6.0) -> None:
        """One step back to straight ahead, body included; 1 s or so with the default sharpness."""
        self._body_goal = 0.0
        self._step(0.0, 0.0, 0.0, 0.0, sharpness, dt)

    def still(self) -> bool:
        """Whether nothing moves."""
        return max(abs(self.yaw.speed), abs(self.pitch.speed), abs(self.body.speed)) < 2e-4

    def pose(self) -> Pose:
        """The neutral pose, turned to where the gaze is."""
        pose = NEUTRAL.copy()
        pose[YAW], pose[PITCH], pose[BODY] = self.yaw.angle, self.pitch.angle, self.body.angle
        return pose

    def velocity(self) -> Pose:
        """Of `pose` [rad/s]."""
        velocity = ZERO.copy()
        velocity[YAW], velocity[PITCH], velocity[BODY] = self.yaw.speed, self.pitch.speed, self.body.speed
        return velocity

    def _step(
        self, yaw: float, pitch: float, yaw_speed: float, pitch_speed: float, sharpness: float, dt: float
    ) -> None:
        self.yaw.chase(yaw, yaw_speed, sharpness, dt)
        self.pitch.chase(pitch, pitch_speed, sharpness, dt)
        dragged = yaw_speed if abs(yaw - self._body_goal) >= self._slack - 1e-6 else 0.0
        self.body.chase(self._body_goal, dragged, 0.5 * sharpness, dt)


def _clip(value: float, limit: float) -> float:
    return min(limit, max(-limit, value))
