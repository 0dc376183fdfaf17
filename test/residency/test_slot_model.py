"""Random histories of a slot, against a reference that is simple enough to be obviously right."""

from __future__ import annotations

import threading

from fake_worker import MB, FakeClock
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from slot_worker import SlotFactory, variant

from bbia_ros.residency import (
    AdmissionRefused,
    BeingSwapped,
    LoadFailed,
    Measurements,
    ModelSlot,
    Pool,
    ResidencyError,
    SwapFailed,
    SwapSuperseded,
)

SIZES = {"large": 300, "middle": 200, "small": 100}
NAMES = tuple(SIZES)
NAME = st.sampled_from(NAMES)
WAIT_S = 10.0


class SlotAgainstReference(RuleBasedStateMachine):
    """One slot, another model that takes room, swaps that are held half-way, calls of every kind.

    The reference: which variant is in use and which is wanted, what is in memory, and whether that fits.
    """

    @initialize(budget_mb=st.sampled_from([90, 150, 250, 350, 420, 1000]), start=NAME)
    def begin(self, budget_mb, start) -> None:
        self.budget = budget_mb
        self.factory = SlotFactory(budget_mb * MB)
        self.pool = Pool(
            budget_mb=budget_mb, worker_factory=self.factory, clock=FakeClock(), supervise=False,
            measurements=Measurements(""), backoff_s=(0.0,) * 50, settle_s=0.0, busy_s=0.0,
        )  # fmt: skip
        self.slot = ModelSlot(self.pool, "chat", [variant(name, mb) for name, mb in SIZES.items()], start=start)
        self.other = self.pool.acquire(variant("other", 120, pinned=True).spec)
        self.current = self.wanted = start
        self.loaded: str | None = None
        self.taken = 0
        self.waiting: list[threading.Thread] = []

    # --- the reference ---

    def fits(self, name: str, beside: str | None = None) -> bool:
        return self.taken + SIZES[name] + (SIZES[beside] if beside else 0) <= self.budget

    def fails(self, name: str) -> bool:
        return f"chat:{name}" in self.factory.broken

    def use_in_reference(self) -> type[Exception] | None:
        """A call: what it raises, and what is in use and in memory afterwards."""
        if self.loaded == self.current:
            return None
        if self.fits(self.current):
            if self.fails(self.current):
                return LoadFailed
            self.loaded = self.current
            return None
        for name in NAMES[NAMES.index(self.current) + 1 :]:
            if self.fits(name) and not self.fails(name):
                self.current = self.loaded = name
                return None
        return AdmissionRefused

    def swap_in_reference(self, wanted: str, candidates: list[str]) -> type[Exception] | None:
        """A swap: what it raises, and what is in use and in memory afterwards."""
        tried = False
        for name in candidates:
            if name == self.current:
                if tried:
                    break
                self.wanted = wanted
                return None
            tried = True
            if self.loaded is None:
                self.current, self.wanted = name, wanted
                return None
            beside = self.fits(name, self.loaded)
            if beside and self.fails(name):
                continue
            if self.fits(name) and not self.fails(name):
                self.current = self.loaded = name
                self.wanted = wanted
                return None
        # The old model has gone and come back, unless it is broken now.
        gone = any(not self.fits(name, self.current) for name in candidates if name != self.current)
        if gone and self.fails(self.current):
            self.loaded = None
        return SwapFailed

    # --- what may happen ---

    @rule()
    def call(self) -> None:
        expected = self.use_in_reference()
        try:
            answer = self.slot.call("who")
            raised = None
        except ResidencyError as error:
            raised = type(error)
        assert raised is expected
        if raised is None:
            assert answer == f"chat:{self.current}"

    @rule()
    def stream(self) -> None:
        expected = self.use_in_reference()
        try:
            answer = list(self.slot.stream("count"))
            raised = None
        except ResidencyError as error:
            raised = type(error)
        assert raised is expected
        if raised is None:
            assert answer == [f"chat:{self.current}"] * 3

    @rule(name=NAME)
    def use(self, name) -> None:
        expected = self.swap_in_reference(name, [name])
        error = self.slot.use_later(name).exception(WAIT_S)
        assert (type(error) if error else None) is expected, error

    @rule()
    def use_the_best(self) -> None:
        expected = self.swap_in_reference(NAMES[0], list(NAMES[: NAMES.index(self.current) + 1]))
        error = self.slot.use_later().exception(WAIT_S)
        assert (type(error) if error else None) is expected, error

    @precondition(lambda self: self.loaded is not None)
    @rule(name=NAME, later=NAME, calls=st.integers(0, 3))
    def use_and_change_ones_mind(self, name, later, calls) -> None:
        """A swap is held while its model loads, calls come, and then another wish."""
        if name == self.current or name == later or self.fails(self.current) or self.fails(name):
            return
        if not self.fits(name):
            return
        gate = self.factory.gates[f"chat:{name}"] = threading.Event()
        before = len(self.factory.started)
        first = self.slot.use_later(name)
        while len(self.factory.started) == before:
            assert not first.done(), first.exception()
            threading.Event().wait(0.0005)
        answers: list[object] = []

        def ask() -> None:
            try:
                answers.append(self.slot.call("who"))
            except ResidencyError as error:
                answers.append(error)

        threads = [threading.Thread(target=ask) for _ in range(calls)]
        for thread in threads:
            thread.start()
        in_use = {self.current}
        emptied = not self.fits(name, self.current)
        second = self.slot.use_later(later)
        assert isinstance(first.exception(WAIT_S), SwapSuperseded)
        gate.set()
        del self.factory.gates[f"chat:{name}"]
        error = second.exception(WAIT_S)
        if emptied and later != self.current:
            # The old model had gone already: only the new one needs room.
            ok = self.fits(later) and not self.fails(later)
            if ok:
                self.current = self.loaded = self.wanted = later
            expected = None if ok else SwapFailed
        else:
            expected = self.swap_in_reference(later, [later])
        assert (type(error) if error else None) is expected, error
        in_use.add(self.current)
        for thread in threads:
            thread.join(WAIT_S)
        assert len(answers) == calls, "a call was lost"
        assert {str(answer) for answer in answers} <= {f"chat:{one}" for one in in_use}

    @precondition(lambda self: self.loaded is not None)
    @rule(name=NAME)
    def a_call_gives_up_waiting(self, name) -> None:
        """While neither model is there, a call with no patience is told so; the swap goes on."""
        if name == self.current or self.fails(name) or not self.fits(name) or self.fits(name, self.current):
            return
        gate = self.factory.gates[f"chat:{name}"] = threading.Event()
        before = len(self.factory.started)
        swap = self.slot.use_later(name)
        while len(self.factory.started) == before:
            threading.Event().wait(0.0005)
        try:
            self.slot.call("who", timeout_s=0.001)
            raise AssertionError("answered by nobody")
        except BeingSwapped:
            pass
        gate.set()
        del self.factory.gates[f"chat:{name}"]
        assert swap.result(WAIT_S).now == name
        self.current = self.loaded = self.wanted = name

    @precondition(lambda self: self.loaded is not None)
    @rule()
    def unload(self) -> None:
        self.pool.unload(f"chat:{self.loaded}")
        self.loaded = None

    @rule()
    def toggle_other(self) -> None:
        """Something that may not be evicted takes 120 MB, or gives them back."""
        if self.taken:
            self.other.release()
            self.other = self.pool.acquire(variant("other", 120, pinned=True).spec)
            self.taken = 0
            return
        if self.budget < 120:
            return
        self.other.call("echo")
        self.taken = 120
        if self.loaded and SIZES[self.loaded] + 120 > self.budget:
            self.loaded = None

    @rule(name=NAME)
    def toggle_broken(self, name) -> None:
        """The model's file is damaged, or whole again."""
        key = f"chat:{name}"
        if key in self.factory.broken:
            self.factory.broken.discard(key)
            self.pool.reset(key) if any(one.name == key for one in self.pool.snapshot()) else None
        else:
            self.factory.broken.add(key)

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "slot"):
            return
        assert (self.slot.current, self.slot.wanted) == (self.current, self.wanted)
        assert bool(self.slot.notice) == (self.current != self.wanted)
        expected = {f"chat:{self.loaded}"} if self.loaded else set()
        assert {name for name in self.factory.loaded if name.startswith("chat:") and name != "chat:other"} == expected
        assert not self.slot._books.handover
        assert self.slot._books.tenant.users == 0
        assert not self.slot._books.others

    def teardown(self) -> None:
        if hasattr(self, "slot"):
            self.slot.release()
            self.pool.close()
            assert not self.factory.loaded


SlotAgainstReference.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestSlotAgainstReference = SlotAgainstReference.TestCase
