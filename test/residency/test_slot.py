"""What a slot does with its calls while its model is exchanged, with fake workers."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_worker import MB, FakeClock
from slot_worker import SlotFactory, variant

from bbia_ros.residency import (
    AdmissionRefused,
    BeingSwapped,
    CallCancelled,
    CallTimeout,
    LeaseReleased,
    Measurements,
    ModelSlot,
    ModelState,
    Pool,
    SwapFailed,
    SwapSuperseded,
    UnknownVariant,
)

LARGE, MIDDLE, SMALL = "chat:large", "chat:middle", "chat:small"
WAIT_S = 10.0


class Bench:
    """A slot with three variants of 300, 200 and 100 MB on a pool with a budget."""

    def __init__(self, budget_mb: float | None, start: str = "large", **arguments: Any) -> None:
        self.clock = FakeClock()
        self.factory = SlotFactory(None if budget_mb is None else int(budget_mb * MB))
        self.pool = Pool(
            budget_mb=budget_mb, worker_factory=self.factory, clock=self.clock, supervise=False,
            measurements=Measurements(""), backoff_s=(0.0, 0.0), settle_s=0.05, busy_s=0.05,
        )  # fmt: skip
        self.changes = threading.Semaphore(0)
        self.slot = ModelSlot(
            self.pool, "chat", [variant("large", 300), variant("middle", 200), variant("small", 100)],
            start=start, on_change=self.changes.release, **arguments,
        )  # fmt: skip

    def close(self) -> None:
        for gate in self.factory.gates.values():
            gate.set()
        self.pool.close()

    def hold(self, key: str) -> threading.Thread:
        """A call in flight until `factory.let_go(key)`."""
        thread = Asking(self.slot.call, "hold", key)
        until(lambda: key in self.factory.holding)
        return thread

    def loaded(self) -> set[str]:
        return set(self.factory.loaded)


class Asking(threading.Thread):
    """Asks in a thread of its own."""

    def __init__(self, ask: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(daemon=True)
        self._ask = lambda: ask(*args, **kwargs)
        self._answer: Any = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._answer = self._ask()
        except BaseException as error:
            self._error = error

    def answer(self) -> Any:
        self.join(WAIT_S)
        assert not self.is_alive(), "no answer"
        if self._error is not None:
            raise self._error
        return self._answer


def until(condition: Callable[[], bool]) -> None:
    event = threading.Event()
    for _ in range(5000):
        if condition():
            return
        event.wait(0.002)
    raise AssertionError("it did not happen")


@pytest.fixture
def make() -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def one(*args: Any, **kwargs: Any) -> Bench:
        benches.append(Bench(*args, **kwargs))
        return benches[-1]

    yield one
    for bench in benches:
        bench.close()


@pytest.fixture
def roomy(make: Callable[..., Bench]) -> Bench:
    """Room for all; the large model is in memory."""
    bench = make(None)
    assert bench.slot.call("who") == LARGE
    return bench


@pytest.fixture
def narrow(make: Callable[..., Bench]) -> Bench:
    """Room for one; the large model is in memory."""
    bench = make(350)
    assert bench.slot.call("who") == LARGE
    return bench


# --- the way of a swap ---


def test_the_new_model_is_loaded_before_the_old_one_goes_if_both_fit(roomy: Bench) -> None:
    swap = roomy.slot.use("small")
    assert roomy.factory.log == [("load", LARGE), ("load", SMALL), ("end", LARGE)]
    assert (swap.before, swap.now, swap.released_bytes) == ("large", "small", 300 * MB)
    assert swap.message == "chat uses small instead of large; large released 300.0 MB"
    assert roomy.slot.call("who") == SMALL
    assert (roomy.slot.current, roomy.slot.wanted, roomy.slot.notice) == ("small", "small", "")
    assert roomy.slot.spec.name == SMALL


def test_calls_go_on_with_the_old_model_until_the_new_one_is_there(roomy: Bench) -> None:
    gate = roomy.factory.gates[SMALL] = threading.Event()
    swap = roomy.slot.use_later("small")
    until(lambda: SMALL in roomy.factory.started)
    assert roomy.slot.call("who") == LARGE
    gate.set()
    swap.result(WAIT_S)
    assert roomy.slot.call("who") == SMALL


def test_the_old_model_goes_first_if_only_one_fits(narrow: Bench) -> None:
    swap = narrow.slot.use("middle")
    assert narrow.factory.log == [("load", LARGE), ("end", LARGE), ("load", MIDDLE)]
    assert swap.released_bytes == 300 * MB
    assert narrow.slot.call("who") == MIDDLE


def test_a_call_that_comes_in_between_waits_and_is_answered_by_the_new_model(narrow: Bench) -> None:
    gate = narrow.factory.gates[MIDDLE] = threading.Event()
    swap = narrow.slot.use_later("middle")
    until(lambda: MIDDLE in narrow.factory.started)
    calls = [Asking(narrow.slot.call, "who") for _ in range(3)]
    stream = Asking(lambda: list(narrow.slot.stream("count")))
    gate.set()
    assert [call.answer() for call in calls] == [MIDDLE] * 3
    assert stream.answer() == [MIDDLE] * 3
    swap.result(WAIT_S)
    assert narrow.factory.started == [LARGE, MIDDLE], "nobody had the old one loaded again"


def test_a_call_that_cannot_wait_so_long_is_told_why(narrow: Bench) -> None:
    gate = narrow.factory.gates[MIDDLE] = threading.Event()
    swap = narrow.slot.use_later("middle")
    until(lambda: MIDDLE in narrow.factory.started)
    with pytest.raises(
        BeingSwapped, match=r"waited 0\.01 s for chat to be handed over from large to middle: try again"
    ):
        narrow.slot.call("who", timeout_s=0.01)
    assert issubclass(BeingSwapped, CallTimeout)
    gate.set()
    swap.result(WAIT_S)
    assert narrow.slot.call("who") == MIDDLE


def test_calls_in_flight_end_before_the_old_model_goes(narrow: Bench) -> None:
    held = narrow.hold("a")
    items = narrow.slot.stream("count")
    assert next(items) == LARGE
    swap = narrow.slot.use_later("middle")
    until(lambda: narrow.slot._books.handover != "")
    late = Asking(narrow.slot.call, "who")
    narrow.factory.let_go("a")
    assert held.answer() == "a"
    assert not swap.done()
    assert list(items) == [LARGE, LARGE]
    assert swap.result(WAIT_S).now == "middle"
    assert late.answer() == MIDDLE


def test_a_call_in_flight_keeps_its_model_while_others_use_the_new_one(roomy: Bench) -> None:
    held = roomy.hold("a")
    swap = roomy.slot.use_later("small")
    until(lambda: roomy.slot.current == "small")
    assert roomy.slot.call("who") == SMALL
    assert roomy.loaded() == {LARGE, SMALL}
    assert not swap.done()
    roomy.factory.let_go("a")
    assert held.answer() == "a"
    assert swap.result(WAIT_S).released_bytes == 300 * MB
    assert roomy.loaded() == {SMALL}


def test_a_call_that_does_not_end_is_not_sacrificed(make: Callable[..., Bench]) -> None:
    bench = make(350, patience_s=0.05)
    bench.slot.call("who")
    held = bench.hold("a")
    with pytest.raises(SwapFailed, match=r"still uses large: its calls in flight did not end within 0\.05 s"):
        bench.slot.use("middle")
    bench.factory.let_go("a")
    assert held.answer() == "a"
    assert bench.slot.call("who") == LARGE


def test_where_both_fit_patience_only_limits_how_long_one_is_kept_waiting(make: Callable[..., Bench]) -> None:
    bench = make(None, patience_s=0.05)
    bench.slot.call("who")
    held = bench.hold("a")
    assert bench.slot.use("small").message.endswith("; large goes when its last answer has ended")
    bench.factory.let_go("a")
    assert held.answer() == "a"
    until(lambda: bench.loaded() == {SMALL})


def test_a_forgotten_stream_does_not_keep_the_old_model(narrow: Bench) -> None:
    items = narrow.slot.stream("count")
    assert next(items) == LARGE
    swap = narrow.slot.use_later("middle")
    until(lambda: narrow.slot._books.handover != "")
    del items
    gc.collect()
    narrow.pool.step()  # the supervisor's work: it cancels what was dropped
    assert swap.result(WAIT_S).now == "middle"


def test_nothing_is_loaded_for_a_swap_of_what_is_not_in_memory(make: Callable[..., Bench]) -> None:
    bench = make(350)
    swap = bench.slot.use("small")
    assert swap.message == "chat uses small instead of large from its next use on; nothing was in memory"
    assert bench.factory.started == []
    assert bench.slot.call("who") == SMALL


def test_the_model_in_use_may_be_asked_for(roomy: Bench) -> None:
    assert roomy.slot.use("large").message == "chat uses large already"
    assert roomy.slot.use("chat:large").message == "chat uses large already", "its name in the pool does as well"
    assert roomy.factory.started == [LARGE]


# --- what can go wrong ---


@pytest.mark.parametrize("budget_mb", [None, 350])
def test_if_the_new_model_cannot_be_loaded_the_old_one_is_back(make: Callable[..., Bench], budget_mb: Any) -> None:
    bench = make(budget_mb)
    bench.slot.call("who")
    bench.factory.broken.add(SMALL if budget_mb is None else MIDDLE)
    with pytest.raises(SwapFailed, match=r"chat still uses large: chat:.* is truncated"):
        bench.slot.use("small" if budget_mb is None else "middle")
    assert bench.loaded() == {LARGE}, "and it was loaded again at once"
    assert bench.slot.call("who") == LARGE
    assert (bench.slot.current, bench.slot.wanted) == ("large", "large")


def test_if_neither_can_be_loaded_the_old_one_is_tried_with_the_next_call(narrow: Bench) -> None:
    narrow.factory.broken |= {MIDDLE, LARGE}
    with pytest.raises(SwapFailed, match=r"back at large, which could not be loaded again yet .*truncated"):
        narrow.slot.use("middle")
    narrow.factory.broken.clear()
    assert narrow.slot.call("who") == LARGE


def test_an_unknown_variant_is_refused_with_the_names(make: Callable[..., Bench]) -> None:
    bench = make(None, unavailable={"huge": "not installed"})
    with pytest.raises(UnknownVariant, match="chat has no variant 'tiny'; it can use large, middle, small"):
        bench.slot.use("tiny")
    with pytest.raises(UnknownVariant, match="chat cannot use 'huge': not installed; it can use large, middle, small"):
        bench.slot.use("huge")
    assert bench.slot.variants == ("large", "middle", "small")


@pytest.mark.parametrize("budget_mb", [None, 350])
def test_of_two_swaps_the_last_one_wins(make: Callable[..., Bench], budget_mb: Any) -> None:
    bench = make(budget_mb)
    bench.slot.call("who")
    bench.factory.gates[MIDDLE] = threading.Event()
    first = bench.slot.use_later("middle")
    until(lambda: MIDDLE in bench.factory.started)
    second = bench.slot.use_later("small")
    with pytest.raises(SwapSuperseded, match="use of middle was superseded by chat: use of small"):
        first.result(WAIT_S)
    assert second.result(WAIT_S).now == "small"
    assert bench.slot.call("who") == SMALL
    assert bench.loaded() == {SMALL}


def test_changing_ones_mind_brings_the_old_model_back(narrow: Bench) -> None:
    narrow.factory.gates[MIDDLE] = threading.Event()
    first = narrow.slot.use_later("middle")
    until(lambda: MIDDLE in narrow.factory.started)
    call = Asking(narrow.slot.call, "who")
    assert narrow.slot.use("large").message == "chat uses large already"
    assert isinstance(first.exception(WAIT_S), SwapSuperseded)
    assert call.answer() == LARGE
    assert narrow.loaded() == {LARGE}


def test_the_same_wish_twice_is_one_swap(narrow: Bench) -> None:
    gate = narrow.factory.gates[MIDDLE] = threading.Event()
    first = narrow.slot.use_later("middle")
    assert narrow.slot.use_later("middle") is first
    gate.set()
    assert first.result(WAIT_S).now == "middle"


@pytest.mark.parametrize("budget_mb", [None, 350])
def test_release_ends_a_swap_and_leaves_nothing(make: Callable[..., Bench], budget_mb: Any) -> None:
    bench = make(budget_mb)
    bench.slot.call("who")
    bench.factory.gates[MIDDLE] = threading.Event()
    swap = bench.slot.use_later("middle")
    until(lambda: MIDDLE in bench.factory.started)
    bench.slot.release()
    assert isinstance(swap.exception(WAIT_S), LeaseReleased)
    assert bench.loaded() == set()
    assert bench.slot.release() is None
    for use in (lambda: bench.slot.call("who"), lambda: bench.slot.use("small"), lambda: bench.slot.stream("count")):
        with pytest.raises(LeaseReleased):
            use()
    with pytest.raises(LeaseReleased):
        bench.slot.preload().result(0)


def test_release_wakes_calls_that_wait_for_a_swap(narrow: Bench) -> None:
    narrow.factory.gates[MIDDLE] = threading.Event()
    narrow.slot.use_later("middle")
    until(lambda: MIDDLE in narrow.factory.started)
    calls = [Asking(narrow.slot.call, "who"), Asking(next, narrow.slot.stream("count"))]
    narrow.slot.release()
    for call in calls:
        with pytest.raises(LeaseReleased):
            call.answer()


def test_cancel_reaches_calls_that_wait_for_a_swap(narrow: Bench) -> None:
    gate = narrow.factory.gates[MIDDLE] = threading.Event()
    swap = narrow.slot.use_later("middle")
    until(lambda: MIDDLE in narrow.factory.started)
    items = narrow.slot.stream("count")
    reading, call = Asking(next, items), Asking(narrow.slot.call, "who")
    items.cancel()
    with pytest.raises(CallCancelled):
        reading.answer()
    narrow.slot.cancel()
    with pytest.raises(CallCancelled):
        call.answer()
    gate.set()
    assert swap.result(WAIT_S).now == "middle"


# --- a smaller one for lack of memory ---


def test_a_model_that_does_not_fit_is_replaced_by_the_next_smaller_one_that_does(make: Callable[..., Bench]) -> None:
    bench = make(150)
    assert bench.slot.call("who") == SMALL
    assert (bench.slot.current, bench.slot.wanted) == ("small", "large")
    assert "chat uses small instead of large: chat:large is not loaded: it needs 300 MB" in bench.slot.notice
    assert bench.changes.acquire(timeout=WAIT_S)
    assert list(bench.slot.stream("count")) == [SMALL] * 3


@pytest.mark.parametrize("way", ["stream", "preload"])
def test_streams_and_preloads_fall_to_a_smaller_one_too(make: Callable[..., Bench], way: str) -> None:
    bench = make(250)
    if way == "stream":
        assert list(bench.slot.stream("count")) == [MIDDLE] * 3
    else:
        bench.slot.preload().result(WAIT_S)
    assert bench.loaded() == {MIDDLE}
    assert bench.slot.current == "middle"


def test_a_guess_does_not_change_the_model(make: Callable[..., Bench]) -> None:
    bench = make(250)
    with pytest.raises(AdmissionRefused):
        bench.slot.prefetch().result(WAIT_S)
    assert (bench.slot.current, bench.factory.started) == ("large", [])


def test_many_callers_of_a_model_that_does_not_fit_all_get_the_smaller_one(make: Callable[..., Bench]) -> None:
    bench = make(150)
    calls = [Asking(bench.slot.call, "who") for _ in range(8)]
    assert [call.answer() for call in calls] == [SMALL] * 8
    assert bench.factory.started == [SMALL]


def test_if_none_fits_the_caller_hears_of_all_and_the_wanted_one_stays(make: Callable[..., Bench]) -> None:
    bench = make(90)
    with pytest.raises(
        AdmissionRefused, match=r"chat:large is not loaded.*chat:middle is not.*chat:small is not loaded"
    ):
        bench.slot.call("who")
    assert (bench.slot.current, bench.slot.notice) == ("large", "")
    with pytest.raises(AdmissionRefused):
        bench.slot.preload().result(WAIT_S)


def test_the_best_one_that_fits_is_back_when_asked_for(make: Callable[..., Bench]) -> None:
    bench = make(350)
    other = bench.pool.acquire(variant("other", 200, pinned=True).spec)
    other.call("echo")
    assert bench.slot.call("who") == SMALL
    assert bench.slot.use("small").message == "chat uses small already"
    assert bench.slot.notice == "", "somebody asked for it"
    with pytest.raises(SwapFailed, match="chat still uses small: chat:large is not loaded"):
        bench.slot.use()
    assert bench.slot.call("who") == SMALL
    other.release()
    swap = bench.slot.use()
    assert (swap.now, bench.slot.notice) == ("large", "")
    assert bench.slot.call("who") == LARGE


def test_asked_for_the_best_it_takes_the_best_that_fits(make: Callable[..., Bench]) -> None:
    bench = make(250, start="small")
    bench.slot.call("who")
    swap = bench.slot.use()
    assert swap.now == "middle"
    assert "chat:large is not loaded" in swap.message
    assert "chat uses middle instead of large" in bench.slot.notice


# --- beside the calls ---


def test_a_preload_during_a_handover_does_not_bring_the_old_model_back(narrow: Bench) -> None:
    gate = narrow.factory.gates[MIDDLE] = threading.Event()
    narrow.slot.use_later("middle")
    until(lambda: MIDDLE in narrow.factory.started)
    preload, prefetch = narrow.slot.preload(), narrow.slot.prefetch()
    assert not preload.done()
    gate.set()
    preload.result(WAIT_S)
    prefetch.result(WAIT_S)
    assert narrow.factory.started == [LARGE, MIDDLE]


def test_time_to_live_and_pin_change_under_a_model_in_memory(roomy: Bench) -> None:
    roomy.slot.adjust(ttl_s=5.0, pinned=True)
    roomy.clock.now += 6
    roomy.pool.step()
    assert roomy.loaded() == {LARGE}, "pinned"
    roomy.slot.adjust(ttl_s=5.0, pinned=False)
    roomy.pool.step()
    assert roomy.loaded() == set()
    [row] = roomy.pool.snapshot()
    assert (row.ttl_s, row.pinned, row.state) == (5.0, False, ModelState.ABSENT)
    assert roomy.slot.call("who") == LARGE
    roomy.slot.use("small")
    assert roomy.slot.spec.ttl_s == 5.0, "the other variants too"


def test_wrong_lists_are_refused() -> None:
    with Pool(worker_factory=SlotFactory(), supervise=False, measurements=Measurements("")) as pool:
        with pytest.raises(ValueError, match="needs at least one model"):
            ModelSlot(pool, "chat", [])
        with pytest.raises(ValueError, match="different names"):
            ModelSlot(pool, "chat", [variant("a", 1), variant("a", 2)])
        with pytest.raises(UnknownVariant):
            ModelSlot(pool, "chat", [variant("a", 1)], start="b")
