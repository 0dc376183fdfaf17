"""What an answer makes the robot do, through the other nodes. The ROS clients are handed in by the node."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import Point, PointStamped
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from bbia_ros.action import LookAt, PlayMove
from bbia_ros.dialogue.answers import EXPRESS, LOOK_AT, PLAY_MOVE, SET_MODE, STOP, Action
from bbia_ros.srv import Express, SetMode

DIRECTIONS: Mapping[str, tuple[float, float]] = {
    "left": (math.radians(40.0), 0.0),
    "right": (math.radians(-40.0), 0.0),
    "up": (0.0, math.radians(25.0)),
    "down": (0.0, math.radians(-25.0)),
    "ahead": (0.0, 0.0),
}
"""Azimuth to the left and elevation of a spoken direction [rad], in the frame head_neutral."""


@dataclass(frozen=True)
class Clients:
    """Clients of the other nodes' actions and services, named after them."""

    look_at: Any
    play_move: Any
    express: Any
    set_mode: Any
    stop_motion: Any


class Deeds:
    """Carries out actions without waiting for them; all methods run in the executor's thread.

    Args:
        clients: Of the other nodes.
        complain: Told a key and one sentence when something was refused or failed.
        when_quiet: Calls back when the robot has spoken its last words.
    """

    def __init__(
        self,
        clients: Clients,
        complain: Callable[[str, str], None],
        when_quiet: Callable[[Callable[[], None]], None],
    ) -> None:
        self._clients, self._complain, self._when_quiet = clients, complain, when_quiet
        self._mode_wanted = ""
        self._mode_deadline = math.inf

    def do(self, action: Action, patience_s: float) -> None:
        """Starts an action; a change of mode waits until the last words are spoken, or for `patience_s`."""
        arguments = action.arguments
        if action.name == LOOK_AT:
            self._send_goal(self._clients.look_at, "motion/look_at", look_goal(arguments))
        elif action.name == PLAY_MOVE:
            goal = PlayMove.Goal(name=str(arguments["move"]))
            self._send_goal(self._clients.play_move, "motion/play_move", goal)
        elif action.name == EXPRESS:
            request = Express.Request(label=str(arguments["label"]), intensity=float(arguments["intensity"]))
            self._call(self._clients.express, "emotion/express", request)
        elif action.name == STOP:
            self._call(self._clients.stop_motion, "motion/stop", Trigger.Request())
        elif action.name == SET_MODE:
            self._mode_wanted = str(arguments["mode"])
            self._mode_deadline = time.monotonic() + patience_s
            self._when_quiet(self._change_mode)

    def forget_mode(self) -> None:
        """A change of mode that still waits is off: the person said something else."""
        self._mode_wanted, self._mode_deadline = "", math.inf

    def tick(self) -> None:
        """Changes the mode when the last words take too long; to be called about once a second."""
        if time.monotonic() >= self._mode_deadline:
            self._change_mode()

    def _change_mode(self) -> None:
        mode = self._mode_wanted
        if mode:
            self.forget_mode()
            self._call(self._clients.set_mode, "manager/set_mode", SetMode.Request(mode=mode))

    def _send_goal(self, client: Any, name: str, goal: Any) -> None:
        if not client.server_is_ready():
            self._complain(name, f"nobody offers {name} (is the motion node active?)")
            return

        def accepted(done: Any) -> None:
            handle = done.result()
            if handle is None or not handle.accepted:
                self._complain(name, f"{name} was refused")
                return
            handle.get_result_async().add_done_callback(ended)

        def ended(done: Any) -> None:
            result = done.result().result
            if not result.ok:
                self._complain(name, f"{name}: {result.message}")

        client.send_goal_async(goal).add_done_callback(accepted)

    def _call(self, client: Any, name: str, request: Any) -> None:
        if not client.service_is_ready():
            self._complain(name, f"nobody offers {name}")
            return

        def answered(done: Any) -> None:
            response = done.result()
            if response is not None and not getattr(response, "ok", getattr(response, "success", True)):
                self._complain(name, f"{name}: {response.message}")

        client.call_async(request).add_done_callback(answered)


def look_goal(arguments: Mapping[str, Any]) -> LookAt.Goal:
    """The goal for a named target, or for a point 1 m away in a spoken direction."""
    if "target" in arguments:
        return LookAt.Goal(target=str(arguments["target"]))
    azimuth, elevation = DIRECTIONS[str(arguments["direction"])]
    point = Point(
        x=math.cos(elevation) * math.cos(azimuth), y=math.cos(elevation) * math.sin(azimuth), z=math.sin(elevation)
    )
    return LookAt.Goal(point=PointStamped(header=Header(frame_id="head_neutral"), point=point))
