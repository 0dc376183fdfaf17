"""The last gate: everything that leaves is inside the envelope, reachable, and no faster than the robot's rates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bbia_ros.driver import reachy_mini as robot
from bbia_ros.driver.kinematics import Kinematics
from bbia_ros.motion.pose import BODY, SIZE, YAW, Pose, head_matrix

_E = robot.ENVELOPE
# In here YAW is the head's yaw against the body: what the arms turn, and what makes the envelope a box.
UPPER = np.array(
    [_E.x[1], _E.y[1], _E.z[1], _E.roll, _E.pitch, _E.relative_yaw, _E.body_yaw, _E.antenna, _E.antenna],
    dtype=np.float64,
)
LOWER = np.array([_E.x[0], _E.y[0], _E.z[0], *(-UPPER[3:])], dtype=np.float64)
_RATES = [robot.POSITION_RATES] * 3 + [robot.ORIENTATION_RATES] * 3 + [robot.BODY_YAW_RATES] + [robot.ANTENNA_RATES] * 2
SPEED = np.array([r.speed for r in _RATES])
ACCELERATION = np.array([r.acceleration for r in _RATES])


class Limiter:
    """Follows any wish as closely as envelope, reach, speed and acceleration allow.

    Within the limits it is transparent: a wish comes out in the same tick. Beyond them it lags, brakes in time and
    arrives without overshoot. Position, reach and speed hold for any input whatever; acceleration holds too, except in
    a tick in which the arms' reach, which is no box, had to be enforced on the way (`held`).

    Owns the pose last sent and its velocity.

    Attributes:
        limited: wishes that had to be changed to fit the envelope or the reach.
        held: ticks in which the way to a reachable wish led out of reach.
    """

    def __init__(self, kinematics: Kinematics) -> None:
        self._kinematics = kinematics
        self._pose, self._velocity, self._wish = np.zeros(SIZE), np.zeros(SIZE), np.zeros(SIZE)
        self.limited = 0
        self.held = 0

    def reset(self, pose: Pose) -> Pose:
        """Starts at rest at the reachable pose nearest to `pose` (the measured one), which is returned.

        Raises:
            ValueError: a value is not finite.
        """
        self._pose = self._fit(_relative(_finite(pose)))[0]
        self._wish, self._velocity = self._pose.copy(), np.zeros(SIZE)
        return _absolute(self._pose)

    @property
    def velocity(self) -> Pose:
        """Of the pose last sent [1/s]; head yaw against the base."""
        velocity = self._velocity.copy()
        velocity[YAW] += velocity[BODY]
        return velocity

    def step(self, wish: Pose, dt: float) -> Pose:
        """The pose to send now.

        Args:
            wish: any finite pose.
            dt: since the last step [s], > 0.

        Raises:
            ValueError: a value is not finite; nothing has changed then.
        """
        aim, changed = self._fit(_relative(_finite(wish)))
        self.limited += changed
        # Speed of the wish, plus what it takes to catch up and still be able to brake.
        step = ACCELERATION * dt
        margin = step * dt / 8.0  # braking in whole steps overshoots the ideal distance by up to this much
        behind, pace = self._wish - self._pose, np.clip((aim - self._wish) / dt, -SPEED, SPEED)
        gap = np.abs(behind)
        catching_up = np.minimum(gap / dt, np.maximum(step, _braking_speed(np.maximum(gap - margin, 0.0), dt)))
        velocity = pace + np.sign(behind) * catching_up
        velocity = np.clip(velocity, self._velocity - step, self._velocity + step)
        velocity = np.clip(velocity, -SPEED, SPEED)
        velocity = np.clip(
            velocity,
            -_braking_speed(np.maximum(self._pose - LOWER - margin, 0.0), dt),
            _braking_speed(np.maximum(UPPER - self._pose - margin, 0.0), dt),
        )
        after = self._reach(self._pose + velocity * dt, dt)
        self._velocity = (after - self._pose) / dt
        self._pose, self._wish = after, aim
        return _absolute(after)

    def _fit(self, wish: Pose) -> tuple[Pose, bool]:
        """The nearest pose inside envelope and reach, and whether that differs from the wish."""
        aim = _inside(wish)
        matrix = head_matrix(_absolute(aim))
        if not self._kinematics.feasible(matrix, aim[BODY]):
            aim[:3] = self._kinematics.project(matrix, aim[BODY])[0][:3, 3]
        return aim, bool(np.abs(aim - wish).max() > 1e-9)

    def _reach(self, after: Pose, dt: float) -> Pose:
        """`after` if the arms reach it, else the farthest that they reach on the way, no faster than allowed."""
        fitted, changed = self._fit(after)
        if not changed:
            return fitted
        self.held += 1
        change = fitted - self._pose
        share = min(1.0, 1.0 / max(1e-12, float(np.max(np.abs(change) / (SPEED * dt)))))
        for _ in range(6):
            candidate = self._pose + share * change
            if self._kinematics.feasible(head_matrix(_absolute(candidate)), candidate[BODY]):
                return candidate
            share *= 0.5
        return self._pose.copy()


def _finite(pose: Pose) -> Pose:
    values = np.array(pose, dtype=np.float64)
    if values.shape != (SIZE,) or not np.isfinite(values).all():
        raise ValueError(f"a pose is {SIZE} finite numbers, got {values.tolist()}")
    return values


def _relative(pose: Pose) -> Pose:
    relative = pose.copy()
    relative[YAW] -= relative[BODY]
    return relative


def _absolute(pose: Pose) -> Pose:
    absolute = pose.copy()
    absolute[YAW] += absolute[BODY]
    return absolute


def _inside(pose: Pose) -> Pose:
    """Clipped to the box, and the head's yaw against the base to its limit."""
    inside = np.clip(pose, LOWER, UPPER)
    inside[YAW] = min(_E.head_yaw - inside[BODY], max(-_E.head_yaw - inside[BODY], inside[YAW]))
    return inside


def _braking_speed(distance: NDArray[np.float64], dt: float) -> NDArray[np.float64]:
    """Highest speed from which a stop within `distance` is possible, in steps of dt: v^2 / 2a + v dt / 2 = distance."""
    step = ACCELERATION * dt
    speed: NDArray[np.float64] = step * (np.sqrt(0.25 + 2.0 * distance / (step * dt)) - 0.5)
    return speed
