"""Everything that moves the robot, blended into one pose per tick.

    primary (queue)  or  gaze (follows, glances, rests)     one of them is the base
    + what remains of the source before (handover)
    + breathing, feeling, wobble of speech
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
from bbia_ros.motion.gaze import PoseHistory, Sighting
from bbia_ros.motion.handover import Handover
from bbia_ros.motion.layers import Breathing, Fade, Feeling, Listening, SpeechWobble
from bbia_ros.motion.limiter import Limiter
from bbia_ros.motion.moves import Gesture
from bbia_ros.motion.pose import NEUTRAL, SLEEP, ZERO, Pose
from bbia_ros.motion.primary import Goto, LookAt, PlayMove
from bbia_ros.motion.queue import PrimaryQueue, Ticket
from bbia_ros.motion.repertoire import GESTURES
from bbia_ros.motion.settings import Settings

AWAKE: Final = "awake"
ASLEEP: Final = "asleep"
SETTLED_TICKS: Final = 15
"""So many ticks in a row without any motion are rest."""
SAME: Final = np.array([2e-6] * 3 + [2e-5] * 6)
"""Changes per tick below this [m, rad] are none."""


@dataclass(frozen=True)
class Doing:
    """What the composer is doing, for motion/state.

    Attributes:
        state: rest, idle or moving.
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
        self._wake = wake
        self._inbox: deque[Callable[[float], None]] = deque(maxlen=256)
        self._settings = settings or Settings()
        self._attention = Attention(self.history, self._settings)
        self._handover = Handover()
        self._breathing, self._feeling, self._wobble = Breathing(), Feeling(), SpeechWobble()
        self._listening, self._layer_share, self._gaze_share = Listening(), Fade(0.4), Fade(0.4)
        self._layer_share.value = self._gaze_share.value = 1.0
        self._posture = AWAKE
        self._user_speaks = False
        self._last_tick = self._free_since = self._company = -math.inf
        self._source: object = None
        self._base, self._base_velocity = NEUTRAL.copy(), ZERO.copy()
        self._sent: Pose | None = None
        self._still_ticks = 0

    # Wishes, from any thread -------------------------------------------------------------------------------------

    def start(self, now: float, measured: Pose, posture: str) -> None:
        """Begins from where the body is; from far away it gets to its rest pose by a slow gesture.

        Not beside `tick`: stop the loop first.
        """
        self._posture = posture
        self._inbox.clear()
        start = self.limiter.reset(measured)
        self._base, self._base_velocity, self._sent = start.copy(), ZERO.copy(), start
        self._attention.start(start)
        self._handover.cancel()
        self._source, self._still_ticks = self, 0
        self._last_tick, self._free_since, self._company = now, now, now
        goal = NEUTRAL if posture == AWAKE else SLEEP
        if np.abs((start - goal)[:5]).max() > 0.02 or np.abs((start - goal)[7:]).max() > 0.5:
            self.queue.offer(_gesture("wake_up" if posture == AWAKE else "goto_sleep"))

    def configure(self, settings: Settings) -> None:
        """Other settings."""
        self._post(lambda now: self._reconfigure(settings))

    def set_posture(self, posture: str) -> None:
        """Wakes up or goes to sleep; what plays or waits ends."""

        def change(now: float) -> None:
            if posture != self._posture:
                self._posture = posture
                self._company = now
                self._attention.forget()
                self.queue.clear("the robot wakes up" if posture == AWAKE else "the robot goes to sleep")
                self.queue.offer(_gesture("wake_up" if posture == AWAKE else "goto_sleep"))

        self._post(change)

    def stop(self) -> None:
        """Ends everything and returns to neutral (asleep: to the sleep pose), looking at nobody for a while."""
        self.queue.clear("motion/stop was called")
        goal = NEUTRAL if self._posture == AWAKE else SLEEP
        self._post(lambda now: self._attention.forget())
        self.queue.offer(Goto(goal, 1.2, hold_s=1.0, name="stop"))
        self._wake()

    def see_faces(self, stamp: float, faces: Sequence[Sighting]) -> None:
        """Faces of an image taken at `stamp`, nearest first."""
        if faces:
            self._post(lambda now: self._meet(now, stamp, faces))

    def feel(self, label: str, intensity: float) -> None:
        """Shows another feeling; ValueError for one that has no expression."""
        Feeling().show(label, intensity)  # refuse it here and now
        self._post(lambda now: self._feeling.show(label, intensity))

    def hear_speech(self, user: bool, robot: bool) -> None:
        """Who speaks; somebody does, so somebody is there."""

        def change(now: float) -> None:
            self._user_speaks = user
            if user or robot:
                self._company = now

        self._post(change)

    def hear_loudspeaker(self, level_dbfs: float) -> None:
        """Level of the robot's own voice now."""
        self._post(lambda now: self._wobble.hear(now, level_dbfs))

    def play(self) -> None:
        """Something was put into the queue."""

        def change(now: float) -> None:
            self._company = now

        self._post(change)

    # One tick, in the loop's thread ------------------------------------------------------------------------------

    def tick(self, now: float) -> Pose | None:
        """The pose to send now; None when the body rests and nothing needs to be sent."""
        dt = min(0.03, max(0.002, now - self._last_tick))
        self._last_tick = now
        while self._inbox:
            self._inbox.popleft()(now)
        ticket = self._begin_next(now)
        item = ticket.item if ticket is not None else None
        following = self._advance_gaze(now, dt, item)
        base = self._base_pose(now, dt, item)
        layers = self._layers(now, dt, item, bool(following))
        pose = self.limiter.step(base + layers, dt)
        alive = self._alive(now, ticket, following)
        if ticket is not None:
            self._finish(now, ticket)
        return self._report(pose, ticket, following, alive)

    def _begin_next(self, now: float) -> Ticket | None:
        ticket = self.queue.current()
        if ticket is None:
            return None
        if not ticket.begun:
            ticket.begun = True
            ticket.item.begin(now, self._base)
        self._free_since = self._company = now
        return ticket

    def _advance_gaze(self, now: float, dt: float, item: PlayMove | Goto | LookAt | None) -> str:
        """Moves the gaze on, also while something else plays, so that it is where it should be afterwards."""
        if self._posture == ASLEEP:
            self._attention.rest()
            return ""
        return self._attention.advance(now, dt, item, self._lively(now), now - self._free_since)

    def _base_pose(self, now: float, dt: float, item: PlayMove | Goto | LookAt | None) -> Pose:
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

    def _layers(self, now: float, dt: float, item: PlayMove | Goto | LookAt | None, following: bool) -> Pose:
        whole_body = isinstance(item, (PlayMove, Goto)) or self._posture == ASLEEP
        share = self._layer_share.towards(0.0 if whole_body else 1.0, dt)
        wish = 0.15 if isinstance(item, LookAt) else self._settings.gaze_share if following else 1.0
        gaze_share = self._gaze_share.towards(wish, dt)
        lively = self._lively(now) and not whole_body
        idle = lively and item is None and now - self._free_since > self._settings.idle_after_s
        calm = self._breathing.update(idle and self._settings.breathing, dt)
        calm = calm + self._feeling.update(0.0 if whole_body else 1.0, gaze_share, lively, dt)
        calm = self._listening.update(self._user_speaks and not whole_body, calm, dt)
        layers: Pose = calm + share * self._wobble.update(now, gaze_share, dt)
        return layers

    def _lively(self, now: float) -> bool:
        """Whether somebody is there, or was not long ago."""
        timeout = self._settings.idle_timeout_s
        return self._posture == AWAKE and (timeout == 0.0 or now - self._company < timeout)

    def _alive(self, now: float, ticket: Ticket | None, following: str) -> bool:
        """Whether anything may still move although it does not just now."""
        animated = self._lively(now) and (self._settings.breathing or self._settings.glances)
        return bool(
            ticket is not None
            or following
            or animated
            or self._handover.active(now)
            or not self._feeling.settled()
            or not self._wobble.quiet()
        )

    def _finish(self, now: float, ticket: Ticket) -> None:
        item = ticket.item
        if isinstance(item, LookAt) and item.lost(now):
            self.queue.end(ticket, f"{item.name.removeprefix('look_at ')} is out of sight")
        elif item.done(now):
            self.queue.end(ticket)

    def _report(self, pose: Pose, ticket: Ticket | None, following: str, alive: bool) -> Pose | None:
        moved = self._sent is None or bool((np.abs(pose - self._sent) > SAME).any())
        self._still_ticks = 0 if moved or alive else self._still_ticks + 1
        resting = self._still_ticks >= SETTLED_TICKS
        moving = ticket is not None or bool(following) or self._handover.active(self._last_tick)
        self.doing = Doing(
            state="rest" if resting else "moving" if moving else "idle",
            move=ticket.item.name if ticket is not None else "",
            following=following,
            posture=self._feeling.label,
        )
        self._sent = pose
        return None if resting else pose

    def _meet(self, now: float, stamp: float, faces: Sequence[Sighting]) -> None:
        self._company = now
        if self._posture == AWAKE:
            self._attention.see_faces(stamp, faces)

    def _reconfigure(self, settings: Settings) -> None:
        self._settings = settings
        self._attention.configure(settings)

    def _post(self, change: Callable[[float], None]) -> None:
        self._inbox.append(change)
        self._wake()


def _gesture(name: str) -> PlayMove:
    gesture: Gesture = GESTURES[name]
    return PlayMove(name, gesture)
