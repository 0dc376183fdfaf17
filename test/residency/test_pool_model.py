"""Random histories of a pool, against a reference that is simple enough to be obviously right."""

from __future__ import annotations

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
    LoadFailed,
    Measurements,
    ModelFailed,
    ModelSpec,
    Pool,
    ResidencyError,
    WorkerDied,
)
from bbia_ros.residency.resident import HEALTHY_S

BUDGET_MB = 300
GROUP_LIMIT = 2
SPECS = {
    "a": ModelSpec("a", "t", "f:F", {"mb": 60}, declared_mb=60, group="g", ttl_s=100),
    "b": ModelSpec("b", "t", "f:F", {"mb": 90}, declared_mb=90, group="g", ttl_s=0),
    "c": ModelSpec("c", "t", "f:F", {"mb": 120}, declared_mb=120, group="g", ttl_s=40),
    "d": ModelSpec("d", "t", "f:F", {"mb": 150}, declared_mb=150, ttl_s=100),
    "p": ModelSpec("p", "t", "f:F", {"mb": 80}, declared_mb=80, pinned=True),
    "x": ModelSpec("x", "t", "f:F", {"mb": 301}, declared_mb=301),
}
NAMES = st.sampled_from(sorted(SPECS))


@dataclass
class Model:
    """The reference of one model."""

    mb: int
    group: str
    ttl: float
    pinned: bool
    holders: int = 0
    loaded: bool = False
    failed: bool = False
    failures: int = 0
    loaded_at: float = 0.0
    idle_since: float = 0.0
    calls: list[str] = field(default_factory=list)
    loads: int = 0
    evictions: int = 0

    @property
    def evictable(self) -> bool:
        return self.loaded and not self.calls and not self.pinned

    @property
    def state(self) -> str:
        if self.loaded:
            return "BUSY" if self.calls else "IDLE"
        return "FAILED" if self.failed else "ABSENT"

    def leave(self, now: float) -> None:
        """Out of memory, whatever the reason."""
        if self.loaded and now - self.loaded_at >= HEALTHY_S:
            self.failures = 0
        self.loaded = False


class PoolAgainstReference(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.factory = FakeFactory(budget=BUDGET_MB * MB)
        self.pool = Pool(
            budget_mb=BUDGET_MB,
            group_limits={"g": GROUP_LIMIT},
            measurements=Measurements(""),
            worker_factory=self.factory,
            clock=self.clock,
            backoff_s=(0.0, 0.0),
            eviction="lru",
            supervise=False,
        )
        self.leases = {name: [] for name in SPECS}
        self.models = {
            name: Model(int(spec.arguments["mb"]), spec.group, spec.ttl_s, spec.pinned) for name, spec in SPECS.items()
        }
        self.held: dict[str, tuple[threading.Thread, str, object, list]] = {}
        self.serial = 0

    # --- the reference ---

    def admit(self, name: str) -> bool:
        """Make room in the reference; False if the load is refused."""
        model = self.models[name]
        loaded = {key: one for key, one in self.models.items() if one.loaded}
        going: list[str] = []
        if model.group:
            members = sorted((-one.mb, key) for key, one in loaded.items() if one.group == model.group)
            excess = len(members) + 1 - GROUP_LIMIT
            free = [key for _, key in members if loaded[key].evictable]
            if excess > len(free):
                return False
            going = free[: max(0, excess)]
        for _, key in sorted(
            (one.idle_since, key) for key, one in loaded.items() if one.evictable and key not in going
        ):
            if sum(one.mb for other, one in loaded.items() if other not in going) + model.mb <= BUDGET_MB:
                break
            going.append(key)
        if sum(one.mb for other, one in loaded.items() if other not in going) + model.mb > BUDGET_MB:
            return False
        for key in going:
            self.models[key].leave(self.clock.now)
            self.models[key].evictions += 1
        return True

    def expect(self, name: str) -> type[Exception] | None:
        """What a use of this model raises before its method runs; loads it in the reference."""
        model = self.models[name]
        if model.loaded:
            return None
        if model.failed:
            return ModelFailed
        if not self.admit(name):
            return AdmissionRefused
        if self.factory.failing_loads:
            self.fail(model)
            return LoadFailed
        model.loaded = True
        model.loads += 1
        model.loaded_at = model.idle_since = self.clock.now
        return None

    def fail(self, model: Model) -> None:
        model.leave(self.clock.now)
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
        if expected in (None, EngineError):
            model.failures = 0
            model.idle_since = self.clock.now
        try:
            assert lease.call(method, 7) == 7
            raised = None
        except ResidencyError as error:
            raised = type(error)
        assert raised is expected
        if method == "die" and expected is WorkerDied:
            for key in calls:
                self.finish(key, WorkerDied)

    @rule(name=NAMES)
    def preload(self, name):
        self.clock.now += 1
        lease = self.lease(name)
        expected = self.expect(name)
        error = lease.preload().exception(5)
        assert (type(error) if error else None) is expected

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
        model.idle_since = self.clock.now

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
        if last:
            model.leave(self.clock.now)

    @rule(name=NAMES)
    def unload(self, name):
        model = self.models[name]
        if name not in {info.name for info in self.pool.snapshot()}:
            return
        try:
            record = self.pool.unload(name)
            assert not model.calls
            assert (record is not None) == model.loaded
            model.leave(self.clock.now)
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
            if model.evictable and model.ttl and self.clock.now - model.idle_since >= model.ttl:
                model.leave(self.clock.now)
                model.evictions += 1

    @precondition(lambda self: any(one.loaded for one in self.models.values()))
    @rule(data=st.data())
    def worker_dies(self, data):
        name = data.draw(st.sampled_from(sorted(key for key, one in self.models.items() if one.loaded)))
        self.factory.worker_of(name).dead = True
        self.pool.step()
        self.fail(self.models[name])
        for key in list(self.models[name].calls):
            self.finish(key, WorkerDied)
        # The step also looked at the timers.
        self.time_passes(0)

    @rule(mb=st.sampled_from([1, 100, 1000]))
    def another_process_asks(self, mb):
        freed = self.pool.free(mb * MB, "other") // MB
        expected = 0
        for _, name in sorted((one.idle_since, key) for key, one in self.models.items() if one.evictable):
            if expected >= mb:
                break
            expected += self.models[name].mb
            self.models[name].leave(self.clock.now)
            self.models[name].evictions += 1
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
            assert info.budget_bytes == (model.mb * MB if model.loaded else 0)
            assert (info.pid != 0) == model.loaded
        assert self.factory.loaded == {key: one.mb * MB for key, one in self.models.items() if one.loaded}

    @invariant()
    def within_the_limits(self):
        assert sum(self.factory.loaded.values()) <= BUDGET_MB * MB
        assert sum(SPECS[name].group == "g" for name in self.factory.loaded) <= GROUP_LIMIT

    def teardown(self):
        self.pool.close()
        assert self.factory.loaded == {}
        for key in list(self.held):
            self.finish(key, CallCancelled)


PoolAgainstReference.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestPoolAgainstReference = PoolAgainstReference.TestCase
