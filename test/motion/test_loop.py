"""The loop ticks while there is something to do and sleeps when there is not."""

from __future__ import annotations

import threading

import pytest

from bbia_ros.motion.loop import Loop


class Ticks:
    """Counts, and says when a number is reached."""

    def __init__(self, rest_after: int = 10**9) -> None:
        self.count, self.rest_after = 0, rest_after
        self.changed = threading.Condition()

    def __call__(self) -> bool:
        with self.changed:
            self.count += 1
            self.changed.notify_all()
            return self.count % self.rest_after != 0

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.count >= count, 5.0), f"only {self.count} ticks"


def test_it_sleeps_until_woken_and_after_each_rest() -> None:
    ticks = Ticks(rest_after=5)
    loop = Loop(ticks, 500.0, real_time=False)
    loop.start()
    try:
        assert ticks.count == 0
        loop.wake()
        ticks.wait_for(5)
        loop.wake()
        ticks.wait_for(10)
    finally:
        loop.stop()
    assert ticks.count == 10


def test_intervals_are_near_the_period_and_bounded_in_number() -> None:
    ticks = Ticks()
    loop = Loop(ticks, 500.0, window_s=0.2)
    assert loop.intervals().count == 0
    loop.start()
    loop.wake()
    ticks.wait_for(300)
    found = loop.intervals()
    loop.stop()
    assert 0 < found.count <= 200
    assert 0.0 < found.p50 <= found.p99 <= found.longest


def test_a_tick_that_raises_is_reported_and_the_loop_goes_on() -> None:
    errors: list[Exception] = []
    ticks = Ticks()

    def fail_once() -> bool:
        going = ticks()
        if ticks.count == 3:
            raise RuntimeError("once")
        return going

    loop = Loop(fail_once, 500.0, on_error=errors.append)
    loop.start()
    loop.wake()
    ticks.wait_for(6)
    loop.stop()
    assert [str(error) for error in errors] == ["once"]


def test_stopping_ends_the_thread_and_a_hanging_tick_is_named() -> None:
    before = threading.active_count()
    loop = Loop(Ticks(), 500.0)
    loop.start()
    loop.wake()
    loop.stop()
    loop.stop()
    assert threading.active_count() == before
    let_go, inside = threading.Event(), threading.Event()

    def hang() -> bool:
        inside.set()
        let_go.wait(10.0)
        return False

    loop = Loop(hang, 500.0)
    loop.start()
    loop.wake()
    assert inside.wait(5.0)
    with pytest.raises(TimeoutError, match="did not end"):
        loop.stop(timeout_s=0.05)
    let_go.set()
