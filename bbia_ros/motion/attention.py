"""Where the gaze goes: what is to be looked at, else the nearest face, else a glance around, else straight ahead."""

from __future__ import annotations

from collections.abc import Sequence

from bbia_ros.motion.chaser import Gaze
from bbia_ros.motion.gaze import PoseHistory, Sighting, aim
from bbia_ros.motion.glances import SHARPNESS as GLANCING
from bbia_ros.motion.glances import Glances
from bbia_ros.motion.pose import BODY, PITCH, YAW, Pose
from bbia_ros.motion.primary import LookAt
from bbia_ros.motion.settings import Settings
from bbia_ros.motion.tracking import FaceFollower

GLANCES_AFTER_S = 1.5
"""Time without a primary before the first glance."""
RETURN_SHARPNESS = 6.0
"""From a lost face back to neutral in about a second."""


class Attention:
    """Owns the gaze, who it follows and the glances. Belongs to the composer's thread."""

    def __init__(self, history: PoseHistory, settings: Settings) -> None:
        self._history, self._settings = history, settings
        self._faces = self._follower()
        self._gaze, self._glances = Gaze(), Glances()

    def configure(self, settings: Settings) -> None:
        """Other settings; whoever is followed is met anew."""
        self._settings = settings
        self._faces = self._follower()

    def start(self, pose: Pose) -> None:
        """At rest in this pose, following nobody."""
        self._faces.forget()
        self._glances.restart()
        self._gaze.start(float(pose[YAW]), float(pose[PITCH]), float(pose[BODY]))

    def rest(self) -> None:
        """Straight ahead at once, for a body that sleeps."""
        self._gaze.start(0.0, 0.0, 0.0)

    def forget(self) -> None:
        """Follows nobody until the next face is seen."""
        self._faces.forget()

    def see_faces(self, stamp: float, faces: Sequence[Sighting]) -> None:
        """Faces of the image taken at `stamp`, nearest first."""
        self._faces.see(stamp, faces)

    def advance(self, now: float, dt: float, item: object, lively: bool, free_s: float) -> str:
        """One tick, also while something else plays: the gaze is then where it should be afterwards.

        Args:
            now: [s].
            dt: [s].
            item: the primary that plays, or None.
            lively: whether somebody is there to be alive for.
            free_s: how long no primary has played.

        Returns:
            What is followed, empty for nothing.
        """
        s = self._settings
        if isinstance(item, LookAt):
            yaw, pitch, yaw_speed, pitch_speed = item.target(now, s.follow_lead_s)
            self._gaze.look(yaw, pitch, dt, yaw_speed=yaw_speed, pitch_speed=pitch_speed, sharpness=item.sharpness)
            item.settle(now, self._gaze.still())
            return item.name.removeprefix("look_at").strip() or "a point"
        track = self._faces.current(now) if s.follow_faces else None
        if track is not None:
            self._glances.restart()
            point, azimuth_speed, elevation_speed = track.at(now + s.follow_lead_s)
            yaw, pitch = aim(point)
            self._gaze.look(yaw, pitch, dt, yaw_speed=azimuth_speed, pitch_speed=-elevation_speed)
            return track.name
        glancing = s.glances and lively and free_s > GLANCES_AFTER_S
        yaw, pitch = self._glances.direction(now) if glancing else (0.0, 0.0)
        if (yaw, pitch) != (0.0, 0.0):
            self._gaze.look(yaw, pitch, dt, sharpness=GLANCING)
        else:
            self._gaze.relax(dt, GLANCING if glancing else RETURN_SHARPNESS)
        return ""

    def pose(self) -> Pose:
        """The neutral pose turned to where the gaze is."""
        return self._gaze.pose()

    def velocity(self) -> Pose:
        """Of `pose`."""
        return self._gaze.velocity()

    def _follower(self) -> FaceFollower:
        s = self._settings
        return FaceFollower(self._history, s.follow_gain, s.follow_hold_s, s.assumed_distance_m)
