"""What a visitor and an operator do to a running stack. Each act is one service call."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from bbia_ros.srv import PlayRoomAudio, SetMode, SetVisitor

MODE_TIMEOUT_S = 45.0
"""For a mode change, the first start of the simulator included [s]."""


class ActFailed(TimeoutError):
    """The stack refused or did not answer; one sentence."""


class Caller(Protocol):
    """Who can call the stack's services, like `Stage`."""

    def call(self, kind: type[Any], name: str, request: Any, timeout_s: float = 10.0) -> Any | None:
        """The answer; None when there is none."""


def enter_mode(stage: Caller, mode: str, timeout_s: float = MODE_TIMEOUT_S) -> None:
    """Changes the mode and waits until every node is in its state.

    Raises:
        ActFailed: with the manager's reason.
    """
    _call(stage, SetMode, "manager/set_mode", SetMode.Request(mode=mode), f"mode {mode} is not entered", timeout_s)


def play_line(stage: Caller, wav: Path) -> float:
    """Plays a WAV file into the room; returns how long it lasts [s].

    Raises:
        ActFailed: the simulator cannot play it.
    """
    request = PlayRoomAudio.Request(path=str(wav))
    return float(_call(stage, PlayRoomAudio, "driver/play_room_audio", request, f"{wav.name} is not played").duration_s)


def walk_visitor(stage: Caller, start: float, end: float, speed: float, distance: float) -> float:
    """Puts the visitor into the room, walking on a circle; returns how long he walks [s].

    Args:
        stage: to call through.
        start: azimuth [rad].
        end: azimuth [rad]; the same as `start`: he stands.
        speed: [rad/s].
        distance: from the robot's axis [m].

    Raises:
        ActFailed: the simulator does not let him in.
    """
    request = SetVisitor.Request(present=True, from_azimuth=start, to_azimuth=end, speed=speed, distance=distance)
    return float(_call(stage, SetVisitor, "driver/set_visitor", request, "the visitor cannot come").duration_s)


def remove_visitor(stage: Caller) -> None:
    """Empties the room.

    Raises:
        ActFailed: the simulator does not answer.
    """
    _call(stage, SetVisitor, "driver/set_visitor", SetVisitor.Request(present=False), "the visitor cannot leave")


def _call(stage: Caller, kind: type[Any], name: str, request: Any, failure: str, timeout_s: float = 10.0) -> Any:
    answer = stage.call(kind, name, request, timeout_s)
    if answer is None:
        raise ActFailed(f"{failure}: {name} does not answer")
    if not answer.ok:
        raise ActFailed(f"{failure}: {answer.message}")
    return answer
