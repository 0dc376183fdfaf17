"""Slots with real worker processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy_specs import toy

from bbia_ros.residency import AdmissionRefused, ModelSlot, Pool, SwapFailed, Variant

pytestmark = pytest.mark.heavy


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def slot(pool: Pool, **variants: dict[str, Any]) -> ModelSlot:
    listed = [Variant(name, toy(f"toy:{name}", **arguments)) for name, arguments in variants.items()]
    return ModelSlot(pool, "toy", listed)


def test_a_stream_is_read_to_its_end_and_then_the_memory_is_back(make_pool: Callable[..., Pool]) -> None:
    models = slot(make_pool(), large={"mb": 60, "declared_mb": 70}, small={"mb": 5, "declared_mb": 15})
    old = models.call("pid")
    items = models.stream("numbers", 5)
    assert next(items) == 0
    swap = models.use_later("small")
    while models.current == "large":
        os.sched_yield()
    new = models.call("pid")
    assert alive(old)
    assert not swap.done()
    assert list(items) == [1, 2, 3, 4]
    done = swap.result(10)
    assert done.released_bytes > 60_000_000
    assert not alive(old)
    assert models.call("pid") == new
    models.release()
    assert not alive(new)


@pytest.mark.parametrize("budget_mb", [None, 90.0], ids=["beside", "after"])
def test_a_model_whose_worker_dies_while_it_loads_costs_nothing(make_pool: Callable[..., Pool], budget_mb: Any) -> None:
    pool = make_pool(budget_mb=budget_mb)
    models = slot(pool, large={"declared_mb": 60, "fail": "die"}, small={"declared_mb": 60, "mb": 30})
    models.use("small")
    models.call("pid")
    with pytest.raises(SwapFailed, match=r"still uses small: toy:large could not be loaded: .* killed by"):
        models.use("large")
    assert models.call("echo", 7) == 7
    assert [info.name for info in pool.snapshot() if info.pid] == ["toy:small"]
    models.release()


def test_a_model_that_hangs_in_load_is_given_up(make_pool: Callable[..., Pool]) -> None:
    models = slot(make_pool(), hangs={"load_s": 60.0, "load_timeout_s": 0.5}, small={})
    models.use("small")
    pid = models.call("pid")
    with pytest.raises(SwapFailed, match=r"could not be loaded within 0\.5 s"):
        models.use("hangs")
    assert models.call("pid") == pid, "it never went"
    models.release()


def test_a_budget_that_only_the_smaller_one_meets(make_pool: Callable[..., Pool]) -> None:
    models = slot(make_pool(budget_mb=50.0), large={"declared_mb": 60}, small={"declared_mb": 30})
    assert list(models.stream("numbers", 2)) == [0, 1]
    assert models.current == "small"
    with pytest.raises(AdmissionRefused):
        slot(make_pool(budget_mb=10.0), large={"declared_mb": 60}, small={"declared_mb": 30}).call("pid")
    models.release()


@pytest.mark.parametrize("budget_mb", [None, 70.0], ids=["both fit", "one fits"])
def test_no_call_is_lost_however_often_the_model_changes(make_pool: Callable[..., Pool], budget_mb: Any) -> None:
    models = slot(
        make_pool(budget_mb=budget_mb), one={"declared_mb": 50, "mb": 30}, other={"declared_mb": 50, "mb": 30}
    )
    stop = threading.Event()
    wrong: list[object] = []
    answered = [0, 0, 0]

    def talk(number: int) -> None:
        while not stop.is_set():
            try:
                if number == 0:
                    assert list(models.stream("numbers", 4)) == [0, 1, 2, 3]
                else:
                    assert models.call("echo", answered[number]) == answered[number]
            except BaseException as error:
                wrong.append(error)
                return
            answered[number] += 1

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for name in ("other", "one") * 3:
        assert models.use(name).now == name
    # And wishes that come faster than they can be met: the last one counts.
    last = [models.use_later(name) for name in ("other", "one") * 5 + ("other",)][-1]
    assert last.result(30).now == "other"
    stop.set()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert min(answered) > 0
    models.release()
