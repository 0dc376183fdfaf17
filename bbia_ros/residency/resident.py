"""What the pool keeps per model and per worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from bbia_ros.residency.admission import Force
from bbia_ros.residency.call import Call
from bbia_ros.residency.errors import CallCancelled
from bbia_ros.residency.spec import ModelInfo, ModelSpec, ModelState, ReleaseRecord

if TYPE_CHECKING:
    from bbia_ros.residency.lease import Lease

HEALTHY_S = 5.0
"""A model that has been in memory for so long is well: what comes then is no failure in a row with earlier ones [s]."""


class ItemStream(Protocol):
    """Items of a generator call, as `Worker.stream` gives them."""

    def read(self, timeout_s: float) -> Any:
        """Next item; raises StopIteration at the end."""


class Worker(Protocol):
    """Where engines live: `process.WorkerProcess`, `inline.InlineWorker`, or a fake in tests."""

    pid: int
    blameless: bool
    """When dead: it was killed for a cancel, or to stay within the budget, which is no failure of the model."""
    inline: bool
    """Whether its engines live in our own process."""

    @property
    def death_fd(self) -> int:
        """Readable when the worker has ended; -1 if it cannot end by itself."""

    @property
    def dead(self) -> bool:
        """Whether it is known to have ended."""

    def load(
        self,
        call: Call,
        model: str,
        engine: str,
        arguments: Mapping[str, Any],
        timeout_s: float,
        watch: Callable[[], None],
    ) -> tuple[int, int]:
        """Build an engine; private bytes added, and most taken meanwhile. `watch` is called 20 times a second."""

    def private_over(self, limit: int, exact: bool = ...) -> int:
        """Its private bytes if they are more than the limit, else 0; cheap unless they are read exactly."""

    def pause(self) -> None:
        """Stop it where it is, so that it takes no more memory."""

    def resume(self) -> None:
        """Let it go on."""

    def unload(self, model: str, timeout_s: float = ...) -> tuple[int, int]:
        """Drop one of several engines; private bytes of the worker before and after."""

    def call(
        self, call: Call, model: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float
    ) -> Any:
        """Run a method."""

    def stream(
        self, call: Call, model: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float
    ) -> ItemStream:
        """Start a generator method."""

    def begin_end(self) -> None:
        """Ask it to end, without waiting."""

    def finish_end(self, deadline: float) -> tuple[int, int]:
        """See that it ends, by force after the deadline; private bytes held before, and come back."""

    def kill(self, reason: str, blame: bool = ...) -> None:
        """End it at once."""

    def bury(self) -> Exception:
        """After a death: reap, let go of descriptors, and tell why it died."""


class Host:
    """A worker and the models in it. `lock` is held while the worker starts, so that models sharing it wait."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.lock = threading.Lock()
        self.worker: Worker | None = None
        self.models: set[str] = set()
        self.buried: threading.Event | None = None
        """There when somebody found the worker dead; set when all is cleaned up."""


class Load:
    """One load in progress, shared by all callers that wait for it."""

    def __init__(self, name: str, force: Force) -> None:
        self.force = force
        self.safe_s = 0.0
        """For how long the model is safe once it is loaded, because it was prefetched [s]."""
        """The most that anybody who waits for it may do to other models."""
        self.refused: Force | None = None
        """With what force it was refused for good: who may do more does not wait for it."""
        self.future: Future[None] = Future()
        self.future.set_running_or_notify_cancel()
        self.call = Call(f"{name}.load")
        self.aborted = threading.Event()
        self.reached = 0
        """The most that it was seen to take while it outgrew its reservation [bytes]."""
        self.done: Future[None] = Future()
        """Completed when nothing of this load goes on any more, whether it was of use or not."""
        self.worker: Worker | None = None
        """The worker to kill if the load is not wanted any more; None while there is none, or it is shared."""

    def unwanted(self) -> CallCancelled:
        """The error of a load that nobody wants any more."""
        return CallCancelled(f"{self.call.label} was cancelled: the last lease was released")

    def check(self) -> None:
        """Raise it if that is so."""
        if self.aborted.is_set():
            raise self.unwanted()


class Resident:
    """One model: its settings, where it is, its history. Guarded by the pool's lock."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.declared = spec
        """As it was acquired; `spec` may have been adjusted since."""
        self.leases: set[Lease] = set()
        self.host: Host | None = None
        self.load: Load | None = None
        self.gone: Future[None] | None = None
        """Completed when the unload that goes on now is done; None if there is none."""
        self.users = 0
        self.reserved = 0
        self.settled = 0
        """While it loads: what it is expected to keep of its reservation; 0 if not known."""
        self.reload_s = 0.0
        """Measured duration of a load [s]; 0 if not known."""
        self.failures = 0
        self.failed = False
        self.retry_at = 0.0
        self.loads = 0
        self.evictions = 0
        self.last_used: float | None = None
        self.idle_since = 0.0
        self.last_error = ""
        self.load_s = 0.0
        self.loaded_at = 0.0
        """When it came into memory last [s, the pool's clock]."""
        self.safe_until = float("-inf")
        """Prefetched: until then neither the idle timer nor another prefetch takes it [s, the pool's clock]."""
        self.leaking = False
        self.last_release: ReleaseRecord | None = None

    @property
    def ready(self) -> Host | None:
        """The worker to call, if the model is loaded and stays."""
        return self.host if self.gone is None else None

    @property
    def idle(self) -> bool:
        """Loaded, staying, and nobody uses it or waits for it."""
        return self.host is not None and self.gone is None and self.users == 0

    @property
    def held(self) -> bool:
        """Leased, in memory or on its way there."""
        return bool(self.leases) or self.host is not None or self.load is not None

    def differs(self, spec: ModelSpec) -> str:
        """What other settings differ in, for messages."""
        theirs, ours = vars(spec), vars(self.spec)
        return ", ".join(f"{key} is {ours[key]!r} and not {theirs[key]!r}" for key in ours if ours[key] != theirs[key])

    @property
    def state(self) -> ModelState:
        """See `ModelState`."""
        if self.host is not None:
            return ModelState.BUSY if self.users else ModelState.IDLE
        if self.load is not None:
            return ModelState.LOADING
        return ModelState.FAILED if self.failed else ModelState.ABSENT

    def note_failure(self, error: str, now: float, backoff_s: tuple[float, ...]) -> None:
        """Count a failure: wait longer each time, and give up after one more than there are waits."""
        self.last_error = error
        self.end_row(now)
        self.failures += 1
        if self.failures > len(backoff_s):
            self.failed = True
        else:
            self.retry_at = now + backoff_s[self.failures - 1]

    def end_row(self, now: float) -> None:
        """It leaves memory: after HEALTHY_S there, what comes next is no failure in a row with earlier ones.

        A model that serves without being called (a simulator, a camera) has no answers to show that it is well.
        """
        if self.host is not None and now - self.loaded_at >= HEALTHY_S:
            self.failures = 0

    def forgive(self) -> None:
        """Forget failures."""
        self.failed = False
        self.failures = 0
        self.retry_at = 0.0
        self.last_error = ""

    def respecify(self, spec: ModelSpec) -> None:
        """New settings while nobody holds the model: past failures need not concern them."""
        self.spec = self.declared = spec
        self.forgive()

    def info(self) -> ModelInfo:
        """All but the memory of the worker."""
        worker = self.host.worker if self.host is not None else None
        return ModelInfo(
            name=self.spec.name,
            task=self.spec.task,
            group=self.spec.group,
            engine=self.spec.engine,
            device=self.spec.device,
            pinned=self.spec.pinned,
            state=self.state,
            pid=worker.pid if worker is not None else 0,
            pss_bytes=0,
            budget_bytes=self.reserved,
            last_used=self.last_used,
            loads=self.loads,
            evictions=self.evictions,
            holders=len(self.leases),
            last_error=self.last_error,
            load_s=self.load_s,
            last_release=self.last_release,
            ttl_s=self.spec.ttl_s,
            leaking=self.leaking,
        )
