from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bbia_ros.stage.acts import ActFailed, enter_mode, play_line, remove_visitor, walk_visitor


class Stack:
    """Answers every call with the same."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.requests: list[tuple[str, Any]] = []

    def call(self, kind: Any, name: str, request: Any, timeout_s: float = 10.0) -> Any:
        self.requests.append((name, request))
        return self.answer


def test_acts_call_the_stack_s_services() -> None:
    stack = Stack(SimpleNamespace(ok=True, message="", duration_s=2.5))
    enter_mode(stack, "idle")
    assert play_line(stack, Path("/tmp/hello.wav")) == 2.5
    assert walk_visitor(stack, 0.5, -0.5, 0.3, 0.8) == 2.5
    remove_visitor(stack)
    names = [name for name, _ in stack.requests]
    assert names == ["manager/set_mode", "driver/play_room_audio", "driver/set_visitor", "driver/set_visitor"]
    assert stack.requests[0][1].mode == "idle"
    assert stack.requests[1][1].path == "/tmp/hello.wav"
    walk, leave = stack.requests[2][1], stack.requests[3][1]
    assert (walk.present, walk.from_azimuth, walk.to_azimuth, walk.speed) == (True, 0.5, -0.5, 0.3)
    assert not leave.present


def test_a_refusal_and_silence_are_one_sentence_each() -> None:
    refusing = Stack(SimpleNamespace(ok=False, message="speech is unknown"))
    with pytest.raises(ActFailed, match="mode listen is not entered: speech is unknown"):
        enter_mode(refusing, "listen")
    with pytest.raises(ActFailed, match=r"hello.wav is not played: driver/play_room_audio does not answer"):
        play_line(Stack(None), Path("/tmp/hello.wav"))
