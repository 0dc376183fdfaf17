from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from bbia_ros.soak.actions import AZIMUTH, MODE, MODES, REST, REST_EVERY, SAY, VISIT, Action, Chooser


def actions(seed: int, count: int) -> list[Action]:
    chooser = Chooser(Random(seed), ["hello", "moon"])
    return [chooser.next() for _ in range(count)]


def test_the_same_seed_gives_the_same_actions_and_another_gives_others() -> None:
    assert actions(3, 300) == actions(3, 300)
    assert actions(3, 300) != actions(4, 300)


def test_everything_happens_in_time() -> None:
    drawn = actions(1, 2000)
    assert {action.kind for action in drawn} == {"mode", "say", "visit", "leave", "wait", "rest"}
    assert {action.what for action in drawn if action.kind == MODE} == set(MODES)
    assert {action.what for action in drawn if action.kind == SAY} == {"hello", "moon"}
    walks = [action for action in drawn if action.kind == VISIT]
    assert all(abs(action.start) <= AZIMUTH and abs(action.end) <= AZIMUTH for action in walks)
    assert all(0.4 <= action.distance <= 3.0 for action in walks)  # what the simulator allows


def test_the_robot_comes_to_rest_again_and_again() -> None:
    drawn = actions(5, 1000)
    rests = [number for number, action in enumerate(drawn) if action.kind == REST]
    gaps = [later - earlier - 1 for earlier, later in pairwise(rests)]
    assert min(gaps) == REST_EVERY[0]
    assert max(gaps) == REST_EVERY[1]


def test_nobody_speaks_to_a_robot_without_ears_and_a_mode_is_never_entered_twice() -> None:
    mode = "sleep"
    for action in actions(7, 2000):
        if action.kind == SAY:
            assert mode in ("listen", "converse")
        if action.kind == MODE:
            assert action.what != mode
            mode = action.what
        if action.kind == REST:
            mode = "sleep"


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (Action(MODE, "idle"), "mode idle"),
        (Action(REST), "rest"),
        (Action(VISIT, start=0.5, end=-0.5), "visitor from 29 to -29 deg"),
        (Action("wait", duration=1.25), "wait 1.2 s"),
    ],
)
def test_actions_read_well(action: Action, words: str) -> None:
    assert str(action) == words
