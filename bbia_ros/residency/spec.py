"""What a model is, what state it is in, and what its unload gave back."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

MB = 1_000_000
_ENGINE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class ModelState(str, enum.Enum):
    """Where a model is. A lease may be held in any of them."""

    ABSENT = "ABSENT"
    """Not in memory; the next call loads it."""
    LOADING = "LOADING"
    """Waiting for room, or its worker starts and its engine is being built."""
    IDLE = "IDLE"
    """In memory, no call in flight: may be evicted unless pinned."""
    BUSY = "BUSY"
    """In memory, with a call in flight: stays."""
    FAILED = "FAILED"
    """Three failures in a row: not tried again until reset."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class ModelSpec:
    """Everything the pool must know to load a model.

    Attributes:
        name: Unique in the stack; holders that name the same model share it.
        task: What it is for: objects, faces, vad, stt, tts, chat, text_emotion, simulator, camera...
        engine: Import path of the engine's class, ``package.module:Class``.
        arguments: Keyword arguments of the class; must be picklable.
        group: Limit group (language, detector, stt, emotion) or empty.
        declared_mb: Expected private memory [MB], used until the first load has been measured.
        ttl_s: Unloaded after so long without use [s]; 0: never.
        pinned: Never evicted, neither to make room nor for idleness (unload and the last release still end it).
        worker: Models that name the same worker share its process; empty: a process of its own.
        background: Nobody waits for its answers: it takes room that is free or that has rested for a while, and is the
            first to go when somebody waits.
        device: cpu, cuda, ...; part of the key under which measurements are stored.
        nice: Niceness of the worker.
        load_timeout_s: Longest time for the worker to start and build the engine [s].
    """

    name: str
    task: str
    engine: str
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    group: str = ""
    declared_mb: float = 200.0
    ttl_s: float = 300.0
    pinned: bool = False
    worker: str = ""
    background: bool = False
    device: str = "cpu"
    nice: int = 19
    load_timeout_s: float = 60.0

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a model needs a name")
        if not _ENGINE.fullmatch(self.engine):
            raise ValueError(f"engine of {self.name} is {self.engine!r}, expected 'package.module:Class'")
        for key in ("declared_mb", "load_timeout_s"):
            if not getattr(self, key) > 0:
                raise ValueError(f"{key} of {self.name} is {getattr(self, key)}, expected more than 0")
        if not self.ttl_s >= 0:
            raise ValueError(f"ttl_s of {self.name} is {self.ttl_s}, expected 0 (never) or more")
        if not -20 <= self.nice <= 19:
            raise ValueError(f"nice of {self.name} is {self.nice}, expected -20 to 19")


@dataclass(frozen=True)
class ReleaseRecord:
    """The proof of an unload: what the model held and what came back.

    Attributes:
        name: The model.
        reason: released, evicted, idle, unloaded, died, failed or closed.
        held_bytes: Private bytes of its worker just before (of a shared worker: before and after are compared).
        returned_bytes: How much of that the system has again; all of it once the worker's process is reaped.
        duration_s: From the decision to the end of the worker [s].
    """

    name: str
    reason: str
    held_bytes: int
    returned_bytes: int
    duration_s: float

    def __str__(self) -> str:
        return (
            f"released {self.returned_bytes / MB:.1f} of {self.held_bytes / MB:.1f} MB "
            f"in {self.duration_s * 1000:.0f} ms"
        )


@dataclass(frozen=True)
class ModelInfo:
    """One model as `Pool.snapshot` shows it.

    Attributes:
        name: As in its spec, like task, group, engine, device and pinned.
        task: See name.
        group: See name.
        engine: See name.
        device: See name.
        pinned: See name.
        state: Where it is now.
        pid: Of its worker; 0 if there is none, our own if it runs inline.
        pss_bytes: Proportional set size of its worker, at most about a second old; models that share a
            worker show the same figure; 0 if there is no worker or no sample yet.
        budget_bytes: What it counts for against the budget now; 0 if absent.
        last_used: End of its last call [s, time.monotonic]; None if never used.
        loads: How often it was loaded.
        evictions: How often it went to make room or because its time to live was over.
        holders: Leases held now.
        last_error: Last failure in one sentence; empty if none, or since reset.
        load_s: Duration of the last load [s]; 0 if none.
        last_release: Record of the last unload.
        ttl_s: Unloaded after so long without use [s]; 0: never.
        leaking: Ran in our process and did not give back what it held: it gets a worker from its next load on.
        vram_bytes: Memory of its worker on the GPU; 0 if none or not known.
    """

    name: str
    task: str
    group: str
    engine: str
    device: str
    pinned: bool
    state: ModelState
    pid: int
    pss_bytes: int
    budget_bytes: int
    last_used: float | None
    loads: int
    evictions: int
    holders: int
    last_error: str
    load_s: float
    last_release: ReleaseRecord | None
    ttl_s: float = 300.0
    leaking: bool = False
    vram_bytes: int = 0

    def with_memory(self, pss_bytes: int, vram_bytes: int) -> ModelInfo:
        """The same, with the memory of its worker."""
        return replace(self, pss_bytes=pss_bytes, vram_bytes=vram_bytes)
