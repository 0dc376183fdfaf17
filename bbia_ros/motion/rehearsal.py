"""A composer on a simulated clock with a perfect robot, for tests, plots and trying out moves.

What is sent is where the head is, a little later.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from bbia_ros.driver.kinematics import Kinematics
from bbia_ros.driver.reachy_mini import HEAD_TO_CAMERA
from bbia_ros.geometry import inverse_pose
from bbia_ros.motion.composer import Composer
from bbia_ros.motion.gaze import Sighting, gaze_error
from bbia_ros.motion.pose import NEUTRAL, Pose, head_matrix
from bbia_ros.motion.settings import Settings

TICK = 0.01


class Stage:
    """Runs a composer in simulated time and films it.

    Attributes:
        poses: what was sent, None at rest, one per tick.
        now: [s].
        stuck: the robot holds its pose whatever is sent.
    """

    def __init__(self, start: Pose = NEUTRAL, posture: str = "awake", lag_s: float = 0.06, **settings: object) -> None:
        """Starts the composer.

        Args:
            start: measured pose.
            posture: awake or asleep.
            lag_s: of the robot.
            settings: of the composer; breathing and glances are off unless asked for.
        """
        quiet: dict[str, object] = {"breathing": False, "glances": False}
        self.composer = Composer(Kinematics(), Settings(**{**quiet, **settings}))  # type: ignore[arg-type]
        self.now = 1000.0
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
            self._way.append(self._way[-1] if pose is None or self.stuck else pose)
            if len(self.poses) % 2 == 0:
                self.composer.measure(self.now, self._way[0])

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
