from __future__ import annotations

import threading

import pytest

from bbia_ros.ros.lane import Lane


class Gate:
    """A handler that can be held."""

    def __init__(self) -> None:
        self.open, self.entered, self.done = threading.Event(), threading.Semaphore(0), list[int]()
        self.finished = threading.Event()

    def __call__(self, item: int) -> None:
        self.entered.release()
        assert self.open.wait(5)
        self.done.append(item)
        if item == 4:
            self.finished.set()


@pytest.mark.parametrize(("depth", "kept", "skipped"), [(1, [0, 4], 3), (2, [0, 3, 4], 2)])
def test_the_newest_are_kept_in_order_and_the_rest_counted(depth: int, kept: list[int], skipped: int) -> None:
    gate = Gate()
    lane = Lane("t", gate, depth=depth)
    lane.offer(0)
    assert gate.entered.acquire(timeout=5)
    for item in (1, 2, 3, 4):
        lane.offer(item)
    gate.open.set()
    assert gate.finished.wait(5)
    lane.close()
    assert lane.join(5)
    assert gate.done == kept
    assert lane.skipped == skipped


def test_a_failing_handler_is_told_and_the_lane_goes_on() -> None:
    errors: list[Exception] = []
    good = threading.Event()

    def handler(item: int) -> None:
        if item == 0:
            raise ValueError("bad item")
        good.set()

    lane = Lane("t", handler, depth=5, on_error=errors.append)
    lane.offer(0)
    lane.offer(1)
    assert good.wait(5)
    lane.close()
    assert lane.join(5)
    assert [str(e) for e in errors] == ["bad item"]


def test_a_closed_lane_takes_nothing_and_its_thread_ends() -> None:
    before = threading.active_count()
    lane: Lane[int] = Lane("t", lambda _: None)
    lane.close()
    assert lane.join(5)
    assert not lane.offer(1)
    assert threading.active_count() == before


def test_depth_must_be_positive() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Lane("t", lambda _: None, depth=0)


def test_a_handler_can_take_more_of_what_waits() -> None:
    gate, taken = Gate(), list[list[int]]()
    lane: Lane[int] = Lane("t", lambda item: (gate(item), taken.append(lane.take(2)))[1], depth=4)
    lane.offer(0)
    assert gate.entered.acquire(timeout=5)
    for item in (1, 2, 4):
        lane.offer(item)
    gate.open.set()
    assert gate.finished.wait(5)
    lane.close()
    assert lane.join(5)
    assert gate.done == [0, 4]
    assert taken == [[1, 2], []]
    assert lane.skipped == 0
