"""Random histories of a pool, against a reference that is simple enough to be obviously right."""

from __future__ import annotations

import itertools
import math
import threading
from dataclasses import dataclass, field

from fake_worker import MB, FakeClock, FakeFactory
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bbia_ros.residency import (
    AdmissionRefused,
    CallCancelled,
    EngineError,
    Limits,
    LoadFailed,
    Measurements,
    ModelFailed,
    ModelSpec,
    Pool,
    ResidencyError,
    WorkerDied,
)
from bbia_ros.residency.resident import HEALTHY_S

BUDGETS_MB = [None, 200, 300, 400]
SPECS = {
    "a": ModelSpec("a", "t", "f:F", {"mb": 60, "load_s": 0.5}, declared_mb=60, group="g", ttl_s=100),
    "b": ModelSpec("b", "t", "f:F", {"mb": 90, "load_s": 5}, declared_mb=90, group="g", ttl_s=0),
    "c": ModelSpec("c", "t", "f:F", {"mb": 120}, declared_mb=120, group="g", ttl_s=40),
    "d": ModelSpec("d", "t", "f:F", {"mb": 150, "load_s": 2}, declared_mb=150, ttl_s=100),
    "p": ModelSpec("p", "t", "f:F", {"mb": 80}, declared_mb=80, pinned=True),
    "x": ModelSpec("x", "t", "f:F", {"mb": 301}, declared_mb=301),
}
NAMES = st.sampled_from(sorted(SPECS))


@dataclass
class Model:
    """The reference of one model."""

    name: str
    mb: int
    group: str
    ttl: float
    pinned: bool
    load_s: float
    holders: int = 0
    loaded: bool = False
    size: int = 0
    actual: int = 0
    used: int = 0
    failed: bool = False
    failures: int = 0
    loaded_at: float = 0.0
    idle_since: float = 0.0
    last_used: float = -1e9
    safe_until: float = -1e9
    calls: list[str] = field(default_factory=list)
    loads: int = 0
    evictions: int = 0

    @property
    def evictable(self) -> bool:
        return self.loaded and not self.calls and not self.pinned

    @property
    def need(self) -> int:
        return max(self.mb, self.used)

    @property
    def state(self) -> str:
        if self.loaded:
            return "BUSY" if self.calls else "IDLE"
        return "FAILED" if self.failed else "ABSENT"

    def end_row(self, now: float) -> None:
        """After a while in good health failures are forgotten."""
        if self.loaded and now - self.loaded_at >= HEALTHY_S:
            self.failures = 0
        self.loaded = False

    def leave(self, now: float, evicted: bool = True) -> None:
        """Unloaded in order: what it held then is what it needs next time."""
        self.end_row(now)
        self.used = self.actual
        self.evictions += evicted


class PoolAgainstReference(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.budget: int | None = 300
        self.group_limit = 2
        self.eviction = "weighted"
        self.factory = FakeFactory(budget=self.budget * MB, clock=self.clock)
        self.pool = Pool(
            budget_mb=self.budget,
            group_limits={"g": self.group_limit},
            measurements=Measurements(""),
            worker_factory=self.factory,
            clock=self.clock,
            backoff_s=(0.0, 0.0),
            supervise=False,
            busy_s=0.0,
        )
        self.leases = {name: [] for name in SPECS}
        self.models = {
            name: Model(
                name,
                int(spec.arguments["mb"]),
                spec.group,
                spec.ttl_s,
                spec.pinned,
                float(spec.arguments.get("load_s", 0)),
            )
            for name, spec in SPECS.items()
        }
        self.held: dict[str, tuple[threading.Thread, str, object, list]] = {}
        self.serial = 0

    # --- the reference ---

    def choose(self, idle: list[Model], missing: int) -> list[Model] | None:
        """Who goes of these, for so much."""
        if missing <= 0:
            return []
        sets = [
            some
            for count in range(1, len(idle) + 1)
            for some in itertools.combinations(idle, count)
            if sum(one.size for one in some) >= missing
        ]
        if not sets:
            return None
        if self.eviction == "lru":
            by_age = sorted(idle, key=lambda one: one.idle_since)
            return next(by_age[:n] for n in range(1, 9) if sum(one.size for one in by_age[:n]) >= missing)

        def rank(some):
            costs = [max(one.load_s, 0.05) / max(self.clock.now - one.idle_since, 1) for one in some]
            return math.fsum(costs), sum(one.size for one in some), sorted(one.name for one in some)

        return list(min(sets, key=rank))

    def may_go(self, force: str) -> list[Model]:
        idle = [one for one in self.models.values() if one.evictable]
        if force == "gentle":
            return [one for one in idle if self.clock.now >= one.safe_until and self.clock.now - one.last_used >= 5]
        return idle if force == "full" else []

    def choose_with_care(self, idle: list[Model], missing: int) -> list[Model] | None:
        """Prefetched ones only if the others do not suffice."""
        careless = self.choose([one for one in idle if self.clock.now >= one.safe_until], missing)
        return careless if careless is not None else self.choose(idle, missing)

    def members_first(self, idle: list[Model]) -> list[Model]:
        members = [one for one in idle if one.group]
        return sorted(members, key=lambda one: (self.clock.now < one.safe_until, -one.size, one.idle_since))

    def shortage(self, going: list[Model], more: int = 0) -> int:
        total = sum(one.size for one in self.models.values() if one.loaded and one not in going)
        return max(0, total + more - self.budget) if self.budget is not None else 0

    def admit(self, name: str, force: str) -> bool:
        """Make room in the reference; False if the load is refused."""
        model = self.models[name]
        idle = self.may_go(force)
        going: list[Model] = []
        if model.group:
            excess = sum(one.loaded and one.group == "g" for one in self.models.values()) + 1 - self.group_limit
            going = self.members_first(idle)[: max(0, excess)]
            if len(going) < excess:
                return False
        rest = self.choose_with_care([one for one in idle if one not in going], self.shortage(going, model.need))
        if rest is None:
            return False
        for one in (*going, *rest):
            one.leave(self.clock.now)
        return True

    def trim(self) -> None:
        """What is over the limits goes, as far as it is idle."""
        idle = self.may_go("full")
        excess = sum(one.loaded and one.group == "g" for one in self.models.values()) - self.group_limit
        going = self.members_first(idle)[: max(0, excess)]
        idle = [one for one in idle if one not in going]
        rest = self.choose_with_care(idle, self.shortage(going))
        for one in (*going, *(idle if rest is None else rest)):
            one.leave(self.clock.now)

    def expect(self, name: str, force: str = "full") -> type[Exception] | None:
        """What a use of this model raises before its method runs; loads it in the reference."""
        model = self.models[name]
        if model.loaded:
            return None
        if model.failed:
            return ModelFailed
        if not self.admit(name, force):
            return AdmissionRefused
        self.loading = model.load_s
        if self.factory.failing_loads:
            self.fail(model)
            return LoadFailed
        model.loaded = True
        model.loads += 1
        model.actual, model.size = model.mb, model.need
        model.loaded_at = model.idle_since = self.clock.now + model.load_s
        model.safe_until = -1e9
        return None

    def fail(self, model: Model) -> None:
        model.end_row(self.clock.now)
        model.failures += 1
        model.failed = model.failures >= 3

    # --- what may happen ---

    @rule(name=NAMES)
    def acquire(self, name):
        self.leases[name].append(self.pool.acquire(SPECS[name]))
        model = self.models[name]
        if not model.holders and model.failed:
            model.failures, model.failed = 0, False
        model.holders += 1

    def lease(self, name):
        if not self.leases[name]:
            self.acquire(name)
        return self.leases[name][0]

    @rule(name=NAMES, method=st.sampled_from(["echo", "echo", "raise", "die"]))
    def call(self, name, method):
        self.clock.now += 1
        lease = self.lease(name)
        model = self.models[name]
        expected = self.expect(name)
        calls = list(model.calls)
        if expected is None and method != "echo":
            expected = EngineError if method == "raise" else WorkerDied
            if method == "die":
                self.fail(model)
        try:
            assert lease.call(method, 7) == 7
            raised = None
        except ResidencyError as error:
            raised = type(error)
        assert raised is expected
        if expected in (None, EngineError):
            model.failures = 0
            model.idle_since = model.last_used = self.clock.now
        if method == "die" and expected is WorkerDied:
            for key in calls:
                self.finish(key, WorkerDied)

    @rule(name=NAMES, evict=st.booleans())
    def preload(self, name, evict):
        self.clock.now += 1
        lease = self.lease(name)
        expected = self.expect(name, "full" if evict else "none")
        error = lease.preload(evict=evict).exception(5)
        assert (type(error) if error else None) is expected

    @rule(name=NAMES, safe_s=st.sampled_from([3.0, 30.0]))
    def prefetch(self, name, safe_s):
        self.clock.now += 1
        lease = self.lease(name)
        expected = self.expect(name, "gentle")
        error = lease.prefetch(safe_s).exception(5)
        assert (type(error) if error else None) is expected
        if expected is None:
            model = self.models[name]
            model.safe_until = max(model.safe_until, self.clock.now + safe_s)

    @rule(
        budget=st.sampled_from(BUDGETS_MB),
        group_limit=st.integers(1, 3),
        eviction=st.sampled_from(["weighted", "lru"]),
    )
    def set_limits(self, budget, group_limit, eviction):
        self.clock.now += 1
        self.budget, self.group_limit, self.eviction = budget, group_limit, eviction
        self.factory.budget = None if budget is None else budget * MB
        self.trim()
        self.pool.set_limits(Limits(self.factory.budget, {"g": group_limit}, eviction))

    @precondition(lambda self: any(one.loaded for one in self.models.values()))
    @rule(data=st.data(), mb=st.sampled_from([20, 70]))
    def grows(self, data, mb):
        name = data.draw(st.sampled_from(sorted(key for key, one in self.models.items() if one.loaded)))
        self.factory.worker_of(name).models[name] += mb * MB
        self.models[name].actual += mb
        self.time_passes(1)

    @rule(name=NAMES)
    def begin_long_call(self, name):
        self.clock.now += 1
        lease = self.lease(name)
        expected = self.expect(name)
        key = str(self.serial)
        self.serial += 1
        outcome: list = []

        def run():
            try:
                outcome.append(lease.call("hold", key))
            except ResidencyError as error:
                outcome.append(type(error))

        thread = threading.Thread(target=run)
        thread.start()
        if expected is not None:
            thread.join()
            assert outcome == [expected]
            return
        while key not in self.factory.holding:
            assert thread.is_alive(), outcome
            threading.Event().wait(0.0005)
        self.models[name].calls.append(key)
        self.held[key] = (thread, name, lease, outcome)

    def finish(self, key, expected):
        thread, name, _, outcome = self.held.pop(key)
        thread.join(5)
        assert outcome == [expected]
        self.factory.holding.pop(key, None)
        if key in self.models[name].calls:
            self.models[name].calls.remove(key)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def end_long_call(self, data):
        self.clock.now += 1
        key = data.draw(st.sampled_from(sorted(self.held)))
        model = self.models[self.held[key][1]]
        self.factory.let_go(key)
        self.finish(key, key)
        model.failures = 0
        model.idle_since = model.last_used = self.clock.now

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def cancel(self, data):
        self.clock.now += 1
        key = data.draw(st.sampled_from(sorted(self.held)))
        _, name, lease, _ = self.held[key]
        lease.cancel()
        for other in [other for other, held in self.held.items() if held[2] is lease]:
            self.finish(other, CallCancelled)
        self.models[name].idle_since = self.clock.now

    @rule(name=NAMES)
    def release(self, name):
        if not self.leases[name]:
            return
        self.clock.now += 1
        model = self.models[name]
        lease = self.leases[name].pop()
        model.holders -= 1
        record = lease.release()
        last = model.holders == 0
        assert (record is not None) == (last and model.loaded)
        own = [key for key, held in self.held.items() if held[2] is lease]
        for key in own:
            self.finish(key, CallCancelled)
        if own and not last:
            model.idle_since = self.clock.now
        if last and model.loaded:
            model.leave(self.clock.now, evicted=False)

    @rule(name=NAMES)
    def unload(self, name):
        model = self.models[name]
        if name not in {info.name for info in self.pool.snapshot()}:
            return
        try:
            record = self.pool.unload(name)
            assert not model.calls
            assert (record is not None) == model.loaded
            if model.loaded:
                model.leave(self.clock.now, evicted=False)
        except ResidencyError:
            assert model.calls

    @rule(name=NAMES)
    def reset(self, name):
        if name in {info.name for info in self.pool.snapshot()}:
            self.pool.reset(name)
            self.models[name].failed = False
            self.models[name].failures = 0

    @rule(seconds=st.sampled_from([1, 30, 45, 120]))
    def time_passes(self, seconds):
        self.clock.now += seconds
        self.pool.step()
        for model in self.models.values():
            over = model.ttl and self.clock.now >= max(model.idle_since + model.ttl, model.safe_until)
            if model.evictable and over:
                model.leave(self.clock.now)
        for model in self.models.values():
            model.size = max(model.size, model.actual) if model.loaded else model.size
        self.trim()

    @precondition(lambda self: any(one.loaded for one in self.models.values()))
    @rule(data=st.data())
    def worker_dies(self, data):
        # What is due anyway is done first.
        self.time_passes(1)
        loaded = sorted(key for key, one in self.models.items() if one.loaded)
        if not loaded:
            return
        name = data.draw(st.sampled_from(loaded))
        self.factory.worker_of(name).dead = True
        self.pool.step()
        self.fail(self.models[name])
        for key in list(self.models[name].calls):
            self.finish(key, WorkerDied)

    @rule(mb=st.sampled_from([1, 100, 1000]))
    def another_process_asks(self, mb):
        self.clock.now += 1
        idle = self.may_go("full")
        going = self.choose_with_care(idle, mb)
        going = idle if going is None else going
        expected = sum(one.size for one in going)
        for one in going:
            one.leave(self.clock.now)
        freed = self.pool.free(mb * MB, "other") // MB
        assert freed == expected

    @rule(count=st.integers(0, 2))
    def loads_will_fail(self, count):
        self.factory.failing_loads = count

    # --- what always holds ---

    @invariant()
    def same_as_the_reference(self):
        infos = {info.name: info for info in self.pool.snapshot()}
        for name, model in self.models.items():
            if name not in infos:
                assert model.holders == 0
                continue
            info = infos[name]
            assert str(info.state) == model.state, name
            assert (info.loads, info.evictions, info.holders) == (model.loads, model.evictions, model.holders), name
            assert info.budget_bytes == (model.size * MB if model.loaded else 0)
            assert (info.pid != 0) == model.loaded
        assert self.factory.loaded == {key: one.actual * MB for key, one in self.models.items() if one.loaded}

    def teardown(self):
        self.pool.close()
        assert self.factory.loaded == {}
        for key in list(self.held):
            self.finish(key, CallCancelled)


PoolAgainstReference.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestPoolAgainstReference = PoolAgainstReference.TestCase
