"""Everything that moves the robot, blended into one pose per tick.

    primary (queue)  or  gaze (follows, glances, rests)     one of them is the base
    + what remains of the source before (handover)
    + breathing, feeling, wobble of speech
    + trim (what the head stays behind while it looks at something)
    -> limiter -> pose to send

Moves and gotos define the whole pose: no layer is added to them. Looking at something keeps the layers, but less of
what would take the eye off it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bbia_ros.driver.kinematics import Kinematics
from bbia_ros.motion.attention import Attention
from bbia_ros.motion.blend import Blend
from bbia_ros.motion.gaze import PoseHistory, Sighting
from bbia_ros.motion.handover import Handover
from bbia_ros.motion.layers import Feeling
from bbia_ros.motion.limiter import Limiter
from bbia_ros.motion.moves import Gesture
from bbia_ros.motion.obedience import Obedience
from bbia_ros.motion.pose import NEUTRAL, SLEEP, ZERO, Pose, head_matrix
from bbia_ros.motion.primary import Goto, LookAt, PlayMove
from bbia_ros.motion.queue import Item, PrimaryQueue, Ticket
from bbia_ros.motion.repertoire import GESTURES
from bbia_ros.motion.settings import Settings
from bbia_ros.motion.trim import Trim

AWAKE: Final = "awake"
ASLEEP: Final = "asleep"
LOOKING_SHARE: Final = 0.15
"""Share of what feelings and speech turn the head by that is left while it looks at something on purpose."""
SPEECH_STALE_S: Final = 1.5
"""Without news for this long [s] nobody speaks any more: whoever told it may be gone."""
FRESH_S: Final = 0.3
"""Older measurements [s] say nothing about whether the body follows."""
PROBE_EVERY: Final = 10
"""Ticks between targets while the body does not follow."""
SETTLED_TICKS: Final = 15
"""So many ticks in a row without any motion are rest."""
SAME: Final = np.array([2e-6] * 3 + [2e-5] * 6)
"""Changes per tick below this [m, rad] are none."""


@dataclass(frozen=True)
class Doing:
    """What the composer is doing, for motion/state.

    Attributes:
        state: rest, idle, moving or stopped.
        move: name of the primary, empty if none.
        following: what the gaze follows, empty if nothing.
        posture: the feeling shown.
    """

    state: str = "rest"
    move: str = ""
    following: str = ""
    posture: str = "neutral"


class Composer:
    """Turns wishes into poses. Owns all sources, layers and the limiter; `tick` belongs to one thread.

    Everything else may be called from any thread: it is queued and takes effect at the next tick. Times are seconds of
    one clock, the one that stamps images and head poses.

    Attributes:
        queue: the primary queue.
        history: measured head poses.
        doing: what it did in the last tick.
        resting: whether ticks may pause until the next `wake`.
        limiter: the last gate; its counters say how often it had to intervene.
    """

    def __init__(
        self, kinematics: Kinematics, settings: Settings | None = None, wake: Callable[[], None] = lambda: None
    ) -> None:
        """Makes a composer at rest; call `start` before the first tick.

        Args:
            kinematics: for this thread alone.
            settings: None for the defaults.
            wake: called when there may be something to do after a rest.
        """
        self.queue = PrimaryQueue()
        self.history = PoseHistory()
        self.limiter = Limiter(kinematics)
        self.doing = Doing()
        self.resting = True
        self._wake = wake
        self._inbox: deque[Callable[[float], None]] = deque(maxlen=256)
        self._settings = settings or Settings()
        self._attention = Attention(self.history, self._settings)
        self._obedience, self._trim = Obedience(), Trim()
        self._measured: tuple[float, Pose] | None = None
        self._kept: tuple[Goto, float] | None = None
        self._ticks = 0
        self._handover = Handover()
        self._blend = Blend()
        self._posture = AWAKE
        self._last_tick = self._free_since = self._company = self._listen_until = -math.inf
        self._source: object = None
        self._base, self._base_velocity = NEUTRAL.copy(), ZERO.copy()
        self._sent: Pose | None = None
        self._still_ticks = 0

    # Wishes, from any thread -------------------------------------------------------------------------------------

    def start(self, now: float, measured: Pose, posture: str) -> None:
        """Begins from where the body is; from far away it gets to its rest pose by a slow gesture.

        Not beside `tick`: stop the loop first.
        """
        self._begin(now, measured, posture)

    def _begin(self, now: float, measured: Pose, posture: str) -> None:
        self._posture, self._kept = posture, None
        self._obedience.reset()
        self._trim.reset()
        start = self.limiter.reset(measured)
        self._base, self._base_velocity, self._sent = start.copy(), ZERO.copy(), start
        self._attention.start(start)
        self._handover.cancel()
        self._source, self._still_ticks, self.resting = self, 0, False
        self._last_tick, self._free_since, self._company = now, now, now
        goal = NEUTRAL if posture == AWAKE else SLEEP
        if np.abs((start - goal)[:5]).max() > 0.02 or np.abs((start - goal)[7:]).max() > 0.5:
            self.queue.offer(_gesture("wake_up" if posture == AWAKE else "goto_sleep"))

    def measure(self, stamp: float, pose: Pose) -> None:
        """Where the body was at that time [s], as measured. ValueError when it is not finite."""
        if not np.isfinite(pose).all():
            raise ValueError(f"a measured pose must be finite, got {pose.tolist()}")
        self.history.add(stamp, head_matrix(pose))
        self._measured = (stamp, pose)

    def configure(self, settings: Settings) -> None:
        """Other settings."""
        self.post(lambda now: self._reconfigure(settings))

    def set_posture(self, posture: str) -> None:
        """Wakes up or goes to sleep; what plays or waits ends."""

        def change(now: float) -> None:
            if posture != self._posture:
                self._posture = posture
                self._company = now
                self._attention.forget()
                self.queue.clear("the robot wakes up" if posture == AWAKE else "the robot goes to sleep")
                self.queue.offer(_gesture("wake_up" if posture == AWAKE else "goto_sleep"))

        self.post(change)

    def post(self, change: Callable[[float], None]) -> None:
        """Runs a change at the beginning of the next tick, with the time [s]; the oldest are dropped beyond 256."""
        self._inbox.append(change)
        self._wake()

    def stop(self) -> None:
        """Ends everything and returns to neutral (asleep: to the sleep pose), looking at nobody for a while."""
        self.queue.clear("motion/stop was called")
        goal = NEUTRAL if self._posture == AWAKE else SLEEP
        self.post(lambda now: self._attention.forget())
        self.queue.offer(Goto(goal, 1.2, hold_s=1.5, name="stop"))
        self._wake()

    def see_faces(self, stamp: float, faces: Sequence[Sighting]) -> None:
        """Faces of an image taken at `stamp`, nearest first."""
        if faces:
            self.post(lambda now: self._meet(now, stamp, faces))

    def feel(self, label: str, intensity: float) -> None:
        """Shows another feeling; ValueError for one that has no expression."""
        Feeling().show(label, intensity)  # refuse it here and now
        self.post(lambda now: self._blend.feeling.show(label, intensity))

    def hear_speech(self, user: bool, robot: bool) -> None:
        """Who speaks, told again at least every second while it lasts; somebody does, so somebody is there."""

        def change(now: float) -> None:
            self._listen_until = now + SPEECH_STALE_S if user else now
            if user or robot:
                self._company = now

        self.post(change)

    def hear_loudspeaker(self, level_dbfs: float) -> None:
        """Level of the robot's own voice now."""
        self.post(lambda now: self._blend.wobble.hear(now, level_dbfs))

    def play(self) -> None:
        """Something was put into the queue."""

        def change(now: float) -> None:
            self._company = now

        self.post(change)

    # One tick, in the loop's thread ------------------------------------------------------------------------------

    def tick(self, now: float) -> Pose | None:
        """The pose to send now; None when there is nothing to send."""
        dt = min(0.03, max(0.002, now - self._last_tick))
        self._last_tick = now
        self._ticks += 1
        while self._inbox:
            self._inbox.popleft()(now)
        self._blend.listening = now < self._listen_until
        self._check_obedience(now)
        if self._obedience.held:
            return self._probe()
        ticket = self._begin_next(now)
        item = ticket.item if ticket is not None else self._keeping(now)
        following = self._advance_gaze(now, dt, item)
        base = self._base_pose(now, dt, item)
        layers = self._layers(now, dt, item, bool(following))
        wish = base + layers
        looking = bool(following) and not isinstance(item, (PlayMove, Goto))
        trim = self._trim.update(now, dt, wish, self._measured, self._settings.follow_lead_s, looking)
        pose = self.limiter.step(wish + trim, dt)
        alive = self._alive(now, item, following)
        if ticket is not None:
            self._finish(now, ticket)
        return self._report(now, pose, item, following, alive)

    def _check_obedience(self, now: float) -> None:
        if self._measured is None or (self.resting and not self._obedience.held):
            return
        stamp, measured = self._measured
        if now - stamp > FRESH_S or not self._obedience.judge(now, measured):
            return
        if self._obedience.held:
            self.queue.clear("the body does not follow: driver/stop is on, the motors are off or it is held")
            self._kept = None
            self.doing = Doing("stopped", posture=self._blend.feeling.label)
        else:
            self._begin(now, measured, self._posture)

    def _probe(self) -> Pose | None:
        """Now and then a small step from where the body is, to notice when it is free again."""
        if self._ticks % PROBE_EVERY:
            return None
        return self._obedience.probe(NEUTRAL if self._posture == AWAKE else SLEEP)

    def _keeping(self, now: float) -> Goto | None:
        """The pose that was gone to and is kept for a while."""
        if self._kept is not None and now >= self._kept[1]:
            self._kept = None
        return self._kept[0] if self._kept is not None else None

    def _begin_next(self, now: float) -> Ticket | None:
        ticket = self.queue.current()
        if ticket is None:
            return None
        self._kept = None
        if not ticket.begun:
            ticket.begun = True
            ticket.item.begin(now, self._base)
        self._free_since = self._company = now
        return ticket

    def _advance_gaze(self, now: float, dt: float, item: Item | None) -> str:
        """Moves the gaze on, also while something else plays, so that it is where it should be afterwards."""
        if self._posture == ASLEEP:
            self._attention.rest()
            return ""
        return self._attention.advance(now, dt, item, self._lively(now), now - self._free_since)

    def _base_pose(self, now: float, dt: float, item: Item | None) -> Pose:
        """The source's pose plus what remains of the one before."""
        velocity: Pose = ZERO
        source: object
        if isinstance(item, (PlayMove, Goto)):
            source, pose = item, item.pose(now)
        elif self._posture == ASLEEP:
            source, pose = SLEEP, SLEEP
        else:
            source, pose, velocity = self._attention, self._attention.pose(), self._attention.velocity()
        if source is not self._source:
            self._source = source
            lead_in = item.lead_in_s if isinstance(item, PlayMove) else None
            self._handover.begin(now, self._base - pose, self._base_velocity - velocity, lead_in)
        base = pose + self._handover.residual(now)
        self._base_velocity = (base - self._base) / dt
        self._base = base
        return base

    def _layers(self, now: float, dt: float, item: Item | None, following: bool) -> Pose:
        whole_body = isinstance(item, (PlayMove, Goto)) or self._posture == ASLEEP
        gaze_share = LOOKING_SHARE if isinstance(item, LookAt) else self._settings.gaze_share if following else 1.0
        lively = self._lively(now) and not whole_body
        idle = item is None and now - self._free_since > self._settings.idle_after_s
        breathe = lively and idle and self._settings.breathing
        return self._blend.update(
            now, dt, share=0.0 if whole_body else 1.0, gaze_share=gaze_share, lively=lively, breathe=breathe
        )

    def _lively(self, now: float) -> bool:
        """Whether somebody is there, or was not long ago."""
        timeout = self._settings.idle_timeout_s
        return self._posture == AWAKE and (timeout == 0.0 or now - self._company < timeout)

    def _alive(self, now: float, item: object, following: str) -> bool:
        """Whether anything may still move although it does not just now."""
        animated = self._lively(now) and (self._settings.breathing or self._settings.glances)
        return bool(
            item is not None or following or animated or self._handover.active(now) or not self._blend.settled()
        )

    def _finish(self, now: float, ticket: Ticket) -> None:
        item = ticket.item
        if isinstance(item, LookAt) and item.lost(now):
            self.queue.end(ticket, f"{item.name.removeprefix('look_at ')} is out of sight")
        elif item.done(now):
            self.queue.end(ticket)
            if isinstance(item, Goto):
                self._kept = (item, now + item.hold_s)

    def _report(self, now: float, pose: Pose, item: Item | None, following: str, alive: bool) -> Pose | None:
        moved = self._sent is None or bool((np.abs(pose - self._sent) > SAME).any())
        self._still_ticks = 0 if moved or alive else self._still_ticks + 1
        self.resting = self._still_ticks >= SETTLED_TICKS
        moving = item is not None or bool(following) or self._handover.active(now)
        self.doing = Doing(
            state="rest" if self.resting else "moving" if moving else "idle",
            move=item.name if item is not None else "",
            following=following,
            posture=self._blend.feeling.label,
        )
        self._sent = pose
        if self.resting:
            return None
        self._obedience.send(now, pose)
        return pose

    def _meet(self, now: float, stamp: float, faces: Sequence[Sighting]) -> None:
        self._company = now
        if self._posture == AWAKE:
            self._attention.see_faces(stamp, faces)

    def _reconfigure(self, settings: Settings) -> None:
        self._settings = settings
        self._attention.configure(settings)


def _gesture(name: str) -> PlayMove:
    gesture: Gesture = GESTURES[name]
    return PlayMove(name, gesture)
