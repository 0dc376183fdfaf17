"""Parameters of the motion node; config/motion.yaml shows them with their defaults."""

from __future__ import annotations

from dataclasses import dataclass

from bbia_ros.motion.settings import Settings
from bbia_ros.ros.parameters import nested, param


@dataclass(frozen=True)
class IdleParameters:
    """Idle life."""

    breathing: bool = param(True, "breathe while nothing else is to be done")
    glances: bool = param(True, "look around now and then while nobody is seen")
    after_s: float = param(0.3, "without a move for this long, breathing starts [s]", minimum=0.0, maximum=60.0)
    timeout_s: float = param(
        30.0, "without anyone for this long, idle animation ends and nothing is sent any more; 0: never [s]",
        minimum=0.0, maximum=86400.0,
    )  # fmt: skip


@dataclass(frozen=True)
class FollowParameters:
    """Following faces with the gaze."""

    faces: bool = param(True, "follow the nearest face")
    gain: float = param(0.6, "share of each sighting's residual that is believed", minimum=0.05, maximum=1.0)
    hold_s: float = param(2.0, "how long the gaze stays where a face was lost [s]", minimum=0.0, maximum=60.0)
    lead_s: float = param(0.12, "how far ahead the gaze aims, for the head's own lag [s]", minimum=0.0, maximum=0.5)
    gaze_share: float = param(
        0.35,
        "share of feelings' and speech's head rotation that is left while a face is followed",
        minimum=0.0,
        maximum=1.0,
    )
    assumed_distance_m: float = param(0.8, "of a face whose distance is unknown [m]", minimum=0.2, maximum=5.0)


@dataclass(frozen=True)
class MotionParameters:
    """All of them."""

    posture: str = param(
        "awake", "awake: neutral, alive; asleep: in the sleep pose. A change plays wake_up or goto_sleep",
        choices=("awake", "asleep"),
    )  # fmt: skip
    rate_hz: float = param(100.0, "targets per second while moving [Hz]", minimum=10.0, maximum=200.0, read_only=True)
    real_time: bool = param(
        True, "ask for SCHED_FIFO for the loop's thread; without permission it does without", read_only=True
    )
    look_at_hold_s: float = param(
        2.0, "how long look_at stays when the goal does not say [s]", minimum=0.0, maximum=60.0
    )
    look_at_memory_s: float = param(
        60.0,
        "a thing that has left the image is looked for where it was, for this long [s]",
        minimum=0.0,
        maximum=3600.0,
    )
    goto_hold_s: float = param(3.0, "how long a pose is kept after goto unless something else is to be done [s]",
                               minimum=0.0, maximum=3600.0)  # fmt: skip
    idle: IdleParameters = nested(IdleParameters)
    follow: FollowParameters = nested(FollowParameters)

    def settings(self) -> Settings:
        """For the composer."""
        return Settings(
            breathing=self.idle.breathing,
            glances=self.idle.glances,
            idle_after_s=self.idle.after_s,
            idle_timeout_s=self.idle.timeout_s,
            follow_faces=self.follow.faces,
            follow_gain=self.follow.gain,
            follow_hold_s=self.follow.hold_s,
            follow_lead_s=self.follow.lead_s,
            gaze_share=self.follow.gaze_share,
            assumed_distance_m=self.follow.assumed_distance_m,
        )
