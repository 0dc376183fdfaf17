"""All layers together, each faded to what the moment allows."""

from __future__ import annotations

from bbia_ros.motion.layers import Breathing, Fade, Feeling, Listening, SpeechWobble
from bbia_ros.motion.pose import Pose


class Blend:
    """The sum of breathing, feeling and wobble. Owns the layers.

    Attributes:
        feeling: shows the mood.
        wobble: hears the loudspeaker.
        listening: somebody speaks to the robot: its antennas keep still.
    """

    def __init__(self) -> None:
        self.feeling, self.wobble = Feeling(), SpeechWobble()
        self.listening = False
        self._breathing, self._stillness = Breathing(), Listening()
        self._share, self._gaze_share = Fade(0.4), Fade(0.4)
        self._share.value = self._gaze_share.value = 1.0

    def update(self, now: float, dt: float, *, share: float, gaze_share: float, lively: bool, breathe: bool) -> Pose:
        """The offset now.

        Args:
            now: [s].
            dt: since the last tick [s].
            share: of the layers beside what plays; 0 when that defines the whole pose.
            gaze_share: of what turns the head away from what it looks at.
            lively: whether the antennas may flutter.
            breathe: whether to breathe.
        """
        gaze = self._gaze_share.towards(gaze_share, dt)
        calm = self._breathing.update(breathe, dt) + self.feeling.update(share, gaze, lively, dt)
        calm = self._stillness.update(self.listening and share > 0.0, calm, dt)
        offset: Pose = calm + self._share.towards(share, dt) * self.wobble.update(now, gaze, dt)
        return offset

    def settled(self) -> bool:
        """Whether the offset will not change by itself."""
        return self.feeling.settled() and self.wobble.quiet()
