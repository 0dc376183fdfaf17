"""A composer on a simulated clock with a perfect robot, for tests, plots and trying out moves.

What is sent is where the head is, a little later.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from bbia_ros.driver.kinematics import Kinematics
from bbia_ros.driver.reachy_mini import HEAD_TO_CAMERA
from bbia_ros.geometry import inverse_pose
from bbia_ros.motion.composer import Composer
from bbia_ros.motion.gaze import Sighting, gaze_error
from bbia_ros.motion.pose import NEUTRAL, YAW, Pose, head_matrix
from bbia_ros.motion.settings import Settings

TICK = 0.01


class Stage:
    """Runs a composer in simulated time and films it.

    Attributes:
        poses: what was sent, None at rest, one per tick.
        now: [s].
        stuck: the robot holds its pose whatever is sent.
    """

    def __init__(
        self,
        start: Pose = NEUTRAL,
        posture: str = "awake",
        lag_s: float = 0.1,
        friction: float = 0.0,
        **settings: object,
    ) -> None:
        """Starts the composer.

        Args:
            start: measured pose.
            posture: awake or asleep.
            lag_s: of the robot.
            friction: how far the head's yaw stays behind a turn [rad], as dry friction does it.
            settings: of the composer; breathing and glances are off unless asked for.
        """
        quiet: dict[str, object] = {"breathing": False, "glances": False}
        self.composer = Composer(Kinematics(), Settings(**{**quiet, **settings}))  # type: ignore[arg-type]
        self.now, self._friction = 1000.0, friction
        self.poses: list[Pose | None] = []
        self._way: deque[Pose] = deque([start], maxlen=max(1, int(lag_s / TICK)))
        self.composer.start(self.now, start, posture)
        self.composer.measure(self.now, start)
        self.stuck = False

    @property
    def head(self) -> np.ndarray:
        """Measured head pose 4x4: what was sent `lag_s` ago."""
        return head_matrix(self._way[0])

    def run(self, seconds: float) -> None:
        """Ticks for so long."""
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            pose = self.composer.tick(self.now)
            self.poses.append(pose)
            self._way.append(self._way[-1] if pose is None or self.stuck else self._rubbed(pose))
            if len(self.poses) % 2 == 0:
                self.composer.measure(self.now, self._way[0])

    def _rubbed(self, pose: Pose) -> Pose:
        """What friction leaves of a pose: the yaw follows only from a distance."""
        rubbed = pose.copy()
        before = float(self._way[-1][YAW])
        behind = float(pose[YAW]) - before
        rubbed[YAW] = (
            before if abs(behind) < self._friction else float(pose[YAW]) - math.copysign(self._friction, behind)
        )
        return rubbed

    def sent(self) -> np.ndarray:
        """All poses that were sent, one row each."""
        return np.array([pose for pose in self.poses if pose is not None])

    def sighting(self, point: np.ndarray, name: str = "face", track_id: int = 1, distance: bool = True) -> Sighting:
        """What a perfect eye sees now of a thing at that point of head_neutral."""
        seen = (inverse_pose(self.head @ HEAD_TO_CAMERA) @ np.append(point, 1.0))[:3]
        length = float(np.linalg.norm(seen))
        bearing = HEAD_TO_CAMERA[:3, :3] @ (seen / length)
        return Sighting(name, track_id, tuple(bearing), length if distance else math.nan)

    def error(self, point: np.ndarray) -> float:
        """Angle between the optical axis and a point [rad]."""
        return gaze_error(self.head, point)


@dataclass(frozen=True)
class Walk:
    """A visitor who walked by, sampled at each tick while moving and for a second after.

    Attributes:
        time: since the first step [s].
        visitor: azimuth [rad].
        gaze: azimuth of the optical axis [rad].
        error: angle between the optical axis and the visitor's face [rad].
        moving: whether the visitor walked.
    """

    time: np.ndarray
    visitor: np.ndarray
    gaze: np.ndarray
    error: np.ndarray
    moving: np.ndarray


def on_circle(azimuth: float, distance: float = 0.8, height: float = 0.05) -> np.ndarray:
    """A point of `head_neutral` [m] on a circle around the robot."""
    return np.array([distance * math.cos(azimuth), distance * math.sin(azimuth), height])


def walk_by(
    speed: float,
    *,
    fps: float = 10.0,
    delay_s: float = 0.12,
    noise: float = math.radians(0.3),
    sweep: float = math.radians(45.0),
    **settings: object,
) -> Walk:
    """A visitor walks from one side to the other in front of a stage.

    Args:
        speed: [rad/s].
        fps: images per second.
        delay_s: from the image to its faces.
        noise: standard deviation of the bearing [rad].
        sweep: azimuth where the walk begins and, on the other side, ends [rad].
        settings: of the composer.
    """
    stage, rng = Stage(**settings), np.random.default_rng(3)  # type: ignore[arg-type]
    frames: deque[tuple[float, float, Sighting]] = deque()
    rows: list[tuple[float, float, float, float, bool]] = []
    azimuth, next_frame = -sweep, stage.now
    stand, walk = 2.0, 2.0 * sweep / speed
    begin = stage.now + stand
    while stage.now < begin + walk + 1.0:
        moving = begin <= stage.now < begin + walk
        azimuth += speed * TICK if moving else 0.0
        stage.run(TICK)
        if stage.now >= next_frame:
            next_frame += 1.0 / fps
            frames.append((stage.now + delay_s, stage.now, stage.sighting(on_circle(azimuth + rng.normal(0.0, noise)))))
        while frames and frames[0][0] <= stage.now:
            _, stamp, face = frames.popleft()
            stage.composer.see_faces(stamp, [face])
        if stage.now >= begin:
            axis = stage.head[:3, 0]
            error = stage.error(on_circle(azimuth))
            rows.append((stage.now - begin, azimuth, math.atan2(axis[1], axis[0]), error, moving))
    time, visitor, gaze, error_, moved = (np.array(column) for column in zip(*rows, strict=True))
    return Walk(time, visitor, gaze, error_, moved.astype(bool))
