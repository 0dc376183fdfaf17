"""The motion node: what others want of the body comes in, targets for the driver go out at 100 Hz."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from bbia_ros.action import Goto as GotoAction
from bbia_ros.action import LookAt as LookAtAction
from bbia_ros.action import PlayMove as PlayMoveAction
from bbia_ros.driver.kinematics import Kinematics, KinematicsError
from bbia_ros.motion import goals, messages
from bbia_ros.motion.composer import ASLEEP, Composer, Doing
from bbia_ros.motion.gaze import Sighting, gaze_error
from bbia_ros.motion.goals import Refused
from bbia_ros.motion.loop import Loop
from bbia_ros.motion.parameters import MotionParameters
from bbia_ros.motion.primary import Goto, LookAt, PlayMove
from bbia_ros.motion.queue import Item, QueueFull, Ticket
from bbia_ros.motion.tracking import ObjectFollower, Whereabouts
from bbia_ros.msg import AudioPlayback, DetectionArray, Emotion, FaceArray, MotionState, RobotTarget, SpeechActivity
from bbia_ros.ros import qos
from bbia_ros.ros.context import ProcessContext
from bbia_ros.ros.lifecycle import BbiaNode, ConfigurationError
from bbia_ros.ros.process import run_alone

STATE_S, FEEDBACK_S = 0.05, 0.2
PRESENT_S = 1.5
"""What was seen longer ago than this is not there to be looked at."""
SILENCE_S, FIRST_SILENCE_S = 1.0, 10.0
"""Without joint_states and head_pose for this long, something is wrong with the driver; at first it may be loading."""
SWITCH_S = 0.001
"""The interpreter's switch interval while the loop runs: other Python threads hold it up for no longer."""


@dataclass
class _Seen:
    """What perception saw last: when the image was taken, when it came, and what was in it."""

    stamp: float = -math.inf
    came: float = -math.inf
    things: tuple[Sighting, ...] = ()


class MotionNode(BbiaNode[MotionParameters]):
    """Turns messages into wishes for the composer and its poses into targets.

    Owns: the composer and the loop's thread, both only while active. The loop starts with the first measured pose.
    """

    parameters_type = MotionParameters

    def __init__(self, context: ProcessContext) -> None:
        super().__init__("motion", context)
        self._composer: Composer | None = None
        self._loop: Loop | None = None
        self._target = RobotTarget()

    # Lifecycle ---------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        """Checks the kinematics; makes what others see."""
        try:
            self._kinematics = Kinematics()
        except KinematicsError as error:
            raise ConfigurationError(str(error)) from error
        self._targets = self.make_publisher(RobotTarget, "motion/target", qos.COMMAND)
        self._states = self.make_publisher(MotionState, "motion/state", qos.STATE, always=True)
        self.make_service(Trigger, "motion/stop", self._on_stop)
        actions = (
            (PlayMoveAction, "motion/play_move", self._play_move, goals.move),
            (LookAtAction, "motion/look_at", self._look_at, self._look_of),
            (GotoAction, "motion/goto", self._goto, self._goto_of),
        )
        for kind, name, execute, item_of in actions:
            self.make_action(kind, name, execute, accept=self._checker(item_of), cancel=self._cancel)

    def activate(self) -> None:
        """Listens; the first measured pose starts the loop."""
        self._loop = Loop(self._tick, self.params.rate_hz, real_time=self.params.real_time, on_error=self._loop_failed)
        self._composer = Composer(Kinematics(), self.params.settings(), wake=self._loop.wake)
        self._started = False
        self._measured_at = time.monotonic()
        self._joints: dict[str, float] = {}
        self._faces, self._objects = _Seen(), _Seen()
        self._places = Whereabouts(self._composer.history)
        self._tickets: dict[bytes, tuple[Any, Ticket]] = {}
        self._published: tuple[Doing, int] | None = None
        self._published_at = -math.inf
        self._switch_interval = sys.getswitchinterval()
        sys.setswitchinterval(min(SWITCH_S, self._switch_interval))
        self.make_subscription(JointState, "joint_states", self._on_joints, qos.SENSOR)
        self.make_subscription(PoseStamped, "head_pose", self._on_head, qos.SENSOR)
        self.make_subscription(FaceArray, "perception/faces", self._on_faces, qos.EVENT)
        self.make_subscription(DetectionArray, "perception/objects", self._on_objects, qos.EVENT)
        self.make_subscription(Emotion, "emotion/robot", self._on_emotion, qos.STATE)
        self.make_subscription(SpeechActivity, "speech/activity", self._on_speech, qos.EVENT)
        self.make_subscription(AudioPlayback, "audio/playback", self._on_playback, qos.EVENT)
        self.make_timer(STATE_S, self._watch)
        self.make_timer(FEEDBACK_S, self._give_feedback)

    def deactivate(self) -> None:
        """Stops the loop; the driver holds the pose."""
        composer, loop = self._composer, self._loop
        if composer is None or loop is None:
            return
        self._composer = self._loop = None
        try:
            loop.stop()
        finally:
            composer.queue.clear("motion is deactivated")
            sys.setswitchinterval(self._switch_interval)
            self._states.publish(MotionState(state="rest"))

    def parameters_changed(self, new: MotionParameters) -> None:
        """Takes effect at once."""
        if self._composer is not None:
            if new.settings() != self.params.settings():
                self._composer.configure(new.settings())
            self._composer.set_posture(new.posture)

    # The loop's thread -------------------------------------------------------------------------------------------

    def _seconds(self) -> float:
        return 1e-9 * float(self.get_clock().now().nanoseconds)

    def _tick(self) -> bool:
        composer = self._composer
        if composer is None:
            return False
        clock = self.get_clock().now()
        pose = composer.tick(1e-9 * float(clock.nanoseconds))
        if pose is not None:
            self._targets.publish(messages.fill_target(self._target, pose, clock.to_msg()))
        return not composer.resting

    def _loop_failed(self, error: Exception) -> None:
        self.report_fault("loop", f"the motion loop failed: {type(error).__name__}: {error}")

    # What comes in -----------------------------------------------------------------------------------------------

    def _on_joints(self, message: JointState) -> None:
        self._joints = dict(zip(message.name, message.position, strict=False))

    def _on_head(self, message: PoseStamped) -> None:
        if not self._joints or self._composer is None or self._loop is None:
            return
        try:
            pose = messages.measured_pose(message.pose, self._joints)
            self._composer.measure(messages.seconds(message.header.stamp), pose)
        except ValueError as error:
            self.complain("measured pose", f"head_pose and joint_states give no pose: {error}")
            return
        self._measured_at = time.monotonic()
        if not self._started:
            self._started = True
            self._composer.start(self._seconds(), pose, self.params.posture)
            self._loop.start()
            self._loop.wake()

    def _on_faces(self, message: FaceArray) -> None:
        self._faces = self._seen(message, messages.faces_of(message))
        if self._composer is not None:
            self._composer.see_faces(self._faces.stamp, self._faces.things)
        self._show("face", self._faces)

    def _on_objects(self, message: DetectionArray) -> None:
        self._objects = self._seen(message, messages.objects_of(message))
        self._places.see(self._objects.stamp, self._objects.things)
        self._show("", self._objects)

    def _seen(self, message: Any, things: list[Sighting]) -> _Seen:
        return _Seen(messages.seconds(message.header.stamp), time.monotonic(), tuple(things))

    def _show(self, only: str, seen: _Seen) -> None:
        """Lets those look that look at one of these things."""
        composer = self._composer
        if composer is None or not seen.things:
            return
        for _, ticket in self._tickets.values():
            what = ticket.item.what if isinstance(ticket.item, LookAt) else None
            if isinstance(what, ObjectFollower) and (what.name == "face") == (only == "face"):
                follower = what
                composer.post(lambda now, follower=follower: follower.see(seen.stamp, seen.things))  # type: ignore[misc]

    def _on_emotion(self, message: Emotion) -> None:
        if self._composer is None:
            return
        try:
            self._composer.feel(message.label, float(message.intensity))
        except ValueError as error:
            self.complain("emotion", f"emotion/robot: {error}")

    def _on_speech(self, message: SpeechActivity) -> None:
        if self._composer is not None:
            self._composer.hear_speech(message.user_speaking, message.robot_speaking)

    def _on_playback(self, message: AudioPlayback) -> None:
        if self._composer is not None:
            self._composer.hear_loudspeaker(-math.inf if message.done else float(message.level_dbfs))

    def _on_stop(self, request: Any, response: Any) -> Any:
        if self._composer is None:
            response.success, response.message = False, "motion is not active"
        else:
            self._composer.stop()
            response.success, response.message = True, "moves are ended, the head returns to rest"
        return response

    # Actions -----------------------------------------------------------------------------------------------------

    def _checker(self, item_of: Any) -> Any:
        """Refuses a goal for which no item can be made now."""

        def accept(request: Any) -> str | None:
            try:
                self._ready()
                item_of(request)
            except Refused as error:
                return str(error)
            return None

        return accept

    def _ready(self) -> Composer:
        if self._composer is None or not self._started:
            raise Refused("the robot's pose is not known yet: joint_states or head_pose of the driver are missing")
        if self.params.posture == ASLEEP:
            raise Refused(
                "the robot sleeps: enter a mode in which it is awake, or set motion's parameter posture to awake"
            )
        if self._composer.doing.state == "stopped":
            raise Refused(
                "the body does not follow: call driver/clear_stop, switch the motors on, or let go of the head"
            )
        return self._composer

    async def _play_move(self, handle: Any) -> Any:
        item = goals.move(handle.request)
        reason = await self._perform(handle, item)
        return PlayMoveAction.Result(ok=not reason, message=reason or f"played {item.name} in {item.duration_s:.1f} s")

    def _goto_of(self, request: Any) -> Goto:
        return goals.goto(request, self._kinematics, self.params.goto_hold_s)[0]

    async def _goto(self, handle: Any) -> Any:
        item, changed = goals.goto(handle.request, self._kinematics, self.params.goto_hold_s)
        reason = await self._perform(handle, item)
        done = "there; the nearest pose that can be reached was taken" if changed else "there"
        return GotoAction.Result(ok=not reason, message=reason or done)

    def _look_of(self, request: Any) -> LookAt:
        composer = self._ready()
        time_s = goals.duration("duration_s", request.duration_s)
        hold_s = goals.duration("hold_s", request.hold_s) or self.params.look_at_hold_s
        name = request.target.strip().lower()
        if not name:
            return LookAt(goals.point(request.point), time_s, hold_s)
        seen = self._faces if name == "face" else self._objects
        follower = ObjectFollower(name, composer.history)
        if time.monotonic() - seen.came <= PRESENT_S and follower.see(seen.stamp, seen.things):
            return LookAt(follower, time_s, hold_s)
        place = self._places.last(name, self._seconds() - self.params.look_at_memory_s)
        if place is None:
            raise Refused(self._unseen(name, seen))
        follower.expect(self._seconds(), place)
        return LookAt(follower, time_s, hold_s)

    def _unseen(self, name: str, seen: _Seen) -> str:
        if time.monotonic() - seen.came > PRESENT_S:
            return f"nobody sees any {name}: perception is not running or its camera is silent"
        known = sorted({thing.name for thing in seen.things} - {name})
        return f"I see no {name}, only {', '.join(known)}" if known else f"I see no {name}"

    async def _look_at(self, handle: Any) -> Any:
        item = self._look_of(handle.request)
        reason = await self._perform(handle, item)
        error = self._error(item)
        return LookAtAction.Result(
            ok=not reason, message=reason or f"looked at {item.name[8:] or 'it'}", error_rad=error
        )

    def _error(self, item: LookAt) -> float:
        """Angle between the measured gaze and the target; NaN when the target is lost or the head's pose unknown."""
        head, now = self._composer.history.newest() if self._composer is not None else None, self._seconds()
        return math.nan if head is None or item.lost(now) else gaze_error(head, item.point(now))

    async def _perform(self, handle: Any, item: Item) -> str:
        """Queues an item and waits for its end; the reason why it did not end by itself, or an empty text."""
        composer = self._ready()
        future = self.future()
        try:
            ticket = composer.queue.offer(item, lambda reason: self.complete(future, reason))
        except QueueFull as error:
            return str(error)
        key = bytes(handle.goal_id.uuid)
        self._tickets[key] = (handle, ticket)
        composer.play()
        try:
            return str(await future)
        finally:
            self._tickets.pop(key, None)

    def _cancel(self, handle: Any) -> None:
        entry = self._tickets.get(bytes(handle.goal_id.uuid))
        if entry is not None and self._composer is not None:
            self._composer.queue.end(entry[1], "cancelled")

    def _give_feedback(self) -> None:
        now = self._seconds()
        for handle, ticket in list(self._tickets.values()):
            if not ticket.begun or not handle.is_active:
                continue
            item = ticket.item
            if isinstance(item, LookAt):
                handle.publish_feedback(LookAtAction.Feedback(error_rad=self._error(item)))
            else:
                kind = PlayMoveAction if isinstance(item, PlayMove) else GotoAction
                handle.publish_feedback(kind.Feedback(progress=item.progress(now)))

    # State -------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        composer, loop = self._composer, self._loop
        if composer is None or loop is None:
            return
        if time.monotonic() - self._measured_at > (SILENCE_S if self._started else FIRST_SILENCE_S):
            self.report_fault("driver", "no joint_states and head_pose from the driver: motion does not know the body")
        else:
            self.clear_fault("driver")
        doing, waiting = composer.doing, composer.queue.waiting()
        changed = (doing, waiting) != self._published
        due = not composer.resting and time.monotonic() - self._published_at >= 1.0
        if changed or due:
            self._published, self._published_at = (doing, waiting), time.monotonic()
            self._publish_state(composer, loop, doing, waiting)

    def _publish_state(self, composer: Composer, loop: Loop, doing: Doing, waiting: int) -> None:
        intervals = loop.intervals()
        rest = doing.state == "rest"
        message = MotionState(
            state=doing.state,
            move=doing.move,
            following=doing.following,
            posture=doing.posture,
            queue_length=waiting,
            loop_p50_s=0.0 if rest else intervals.p50,
            loop_p99_s=0.0 if rest else intervals.p99,
            loop_max_s=0.0 if rest else intervals.longest,
            limited=composer.limiter.limited,
        )
        message.header.stamp = self.now()
        self._states.publish(message)
        self.figures.value("loop p99 [ms]", 1000.0 * intervals.p99)
        self.figures.value("loop longest [ms]", 1000.0 * intervals.longest)
        self.figures.value("real-time class", "yes" if loop.real_time else "no")
        self.figures.value("targets limited", composer.limiter.limited)


def main() -> int:
    """Entry point of the node that runs alone."""
    return run_alone("motion", MotionNode)
