"""Coroutines are resumed by what they wait for, not on every turn of the executor."""

from __future__ import annotations

from typing import Any

from rclpy.task import Future

from bbia_ros.ros.coroutines import NodeFuture, drive


class Resumptions:
    """Wraps a coroutine and counts how often it is resumed."""

    def __init__(self, coroutine: Any) -> None:
        self.coroutine, self.count = coroutine, 0

    def send(self, value: Any) -> Any:
        self.count += 1
        return self.coroutine.send(value)


def test_a_coroutine_is_resumed_once_per_future() -> None:
    first, second, ends, later = NodeFuture(), NodeFuture(), [], []

    async def work() -> int:
        return int(await first) + int(await second)

    counted = Resumptions(work())
    drive(counted, lambda delay, function: later.append(function), lambda *end: ends.append(end))
    assert counted.count == 1
    first.set_result(1)
    assert counted.count == 2
    second.set_result(2)
    assert counted.count == 3
    assert ends == [(3, None)]
    assert later == []


def test_a_future_that_is_done_does_not_interrupt() -> None:
    done, ends = NodeFuture(), []
    done.set_result(7)

    async def work() -> Any:
        return await done

    drive(work(), lambda delay, function: None, lambda *end: ends.append(end))
    assert ends == [(7, None)]


def test_plain_futures_are_polled_at_intervals() -> None:
    plain, ends, later = Future(), [], []

    async def work() -> Any:
        return await plain

    drive(work(), lambda delay, function: later.append(function), lambda *end: ends.append(end))
    later.pop()()
    plain.set_result("late")
    later.pop()()
    assert ends == [("late", None)]


def test_what_a_coroutine_raises_is_handed_over() -> None:
    ends = []

    async def work() -> None:
        raise RuntimeError("bang")

    drive(work(), lambda delay, function: None, lambda *end: ends.append(end))
    assert isinstance(ends[0][1], RuntimeError)
