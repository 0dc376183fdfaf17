"""Samples a stack and watches over its health, in a thread of its own, and writes everything down."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bbia_ros.soak.callers import LOST_S, Callers
from bbia_ros.soak.health import Health, Trouble
from bbia_ros.soak.processes import Member, family
from bbia_ros.soak.record import Record, RecordFailed
from bbia_ros.soak.sampling import Sample, Sampler

PERIOD_S = 1.0
"""Of the samples; one of the whole stack costs some ten milliseconds."""
WINDOWS = 4000
"""Figures of the motion loop that are kept."""


class Observer:
    """Samples until it is closed.

    Owns: the thread. Does not own the record.

    Attributes:
        error: why observing ended early; None as long as it goes on.
        sample: the newest.
        peak: the largest total PSS so far [byte].
        loop: (time of the record, p99 of the motion loop's last 10 s) [s].
    """

    def __init__(
        self,
        pids: Callable[[], Mapping[str, int]],
        record: Record,
        callers: Callers,
        health: Health,
        on_trouble: Callable[[Trouble], None],
        period_s: float = PERIOD_S,
    ) -> None:
        """Prepares; `start` begins.

        Args:
            pids: name -> pid of the stack's processes, which are children of this one.
            record: where everything goes.
            callers: knows the models of the workers.
            health: judges the status.
            on_trouble: told of what would need a person, from the thread.
            period_s: time between samples.
        """
        self._pids, self._record, self._callers, self._health = pids, record, callers, health
        self._on_trouble, self._period_s = on_trouble, period_s
        self._sampler = Sampler()
        self._lock = threading.Lock()
        self._status: Any = None
        self._fresh = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
        self.error: BaseException | None = None
        self.sample: Sample | None = None
        self.peak = 0
        self.loop: deque[tuple[float, float]] = deque(maxlen=WINDOWS)

    def start(self) -> None:
        """Begins to sample."""
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def saw(self, status: Any) -> None:
        """Takes a StackStatus."""
        self._status, self._fresh = status, True

    def felt(self, motion: Any) -> None:
        """Takes a MotionState."""
        if motion.loop_p99_s > 0:
            self.loop.append((self._record.now(), float(motion.loop_p99_s)))

    def members(self) -> list[Member]:
        """The stack's processes now."""
        return family(self._pids())

    def measure(self) -> Sample:
        """A whole sample taken now; callable from any thread."""
        with self._lock:
            self.sample = self._sampler.take(self.members(), self._callers.names(), whole=True)
            return self.sample

    def left_behind(self) -> Sequence[str]:
        """Files in /dev/shm that are still there; to be asked when the stack has ended."""
        return self._sampler.left_behind()

    def _run(self) -> None:
        while not self._stop.wait(self._period_s):
            try:
                self._observe()
            except RecordFailed as error:
                self.error = error
                return
            except Exception as error:  # a soak that no longer looks proves nothing: it has to end
                self.error = error
                return

    def _observe(self) -> None:
        with self._lock:
            sample = self.sample = self._sampler.take(self.members(), self._callers.names())
        self.peak = max(self.peak, sample.pss)
        status, fresh, self._fresh = self._status, self._fresh, False
        now = self._record.now()
        if fresh:
            for lost in self._callers.saw(status, time.monotonic()):
                self._tell(
                    self._health.report(
                        f"{lost.model} did not serve again within {LOST_S:g} s after a {lost.kind}", now
                    )
                )
        for trouble in self._health.look(status, fresh, now):
            self._tell(trouble)
        loop = self.loop[-1][1] if self.loop else 0.0
        self._record.write("sample", **sample.plain(), motion_p99=loop, **_plain(status))

    def _tell(self, trouble: Trouble) -> None:
        self._record.write("trouble", what=trouble.what, since=round(trouble.since, 3))
        self._on_trouble(trouble)


def _plain(status: Any) -> dict[str, Any]:
    """What of the manager's status goes into each sample."""
    if status is None:
        return {"mode": "", "target": ""}
    return {
        "mode": status.mode,
        "target": status.target_mode,
        "nodes": {node.name: node.state for node in status.nodes},
        "models": {model.name: model.state for model in status.models},
        "manager_pss": int(status.total_pss_bytes),
        "reserved": int(status.reserved_bytes),
        "budget": int(status.budget_bytes),
        "available": int(status.available_bytes),
        "rung": int(status.pressure.rung),
    }
