"""Who is in memory: pool, ledger, worker processes, accounting. Knows nothing of ROS.

Names are imported when first used: a worker process imports this package too, and needs none of the pool.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bbia_ros.residency.errors import (
        AdmissionRefused,
        CallCancelled,
        CallTimeout,
        EngineError,
        LeaseReleased,
        LedgerError,
        LoadFailed,
        ModelFailed,
        NoSharedMemory,
        NotPicklable,
        Outgrown,
        OutOfMemory,
        ProcessGone,
        ResidencyError,
        SpecConflict,
        WorkerDied,
    )
    from bbia_ros.residency.lease import Lease, Stream
    from bbia_ros.residency.ledger import Ledger, LedgerEntry
    from bbia_ros.residency.limits import Limits
    from bbia_ros.residency.measurements import Measurements
    from bbia_ros.residency.pool import Pool
    from bbia_ros.residency.spec import ModelInfo, ModelSpec, ModelState, ReleaseRecord

__all__ = [
    "AdmissionRefused",
    "CallCancelled",
    "CallTimeout",
    "EngineError",
    "Lease",
    "LeaseReleased",
    "Ledger",
    "LedgerEntry",
    "LedgerError",
    "Limits",
    "LoadFailed",
    "Measurements",
    "ModelFailed",
    "ModelInfo",
    "ModelSpec",
    "ModelState",
    "NoSharedMemory",
    "NotPicklable",
    "OutOfMemory",
    "Outgrown",
    "Pool",
    "ProcessGone",
    "ReleaseRecord",
    "ResidencyError",
    "SpecConflict",
    "Stream",
    "WorkerDied",
]

_MODULES = {
    "Lease": "lease",
    "Stream": "lease",
    "Ledger": "ledger",
    "LedgerEntry": "ledger",
    "Limits": "limits",
    "Measurements": "measurements",
    "Pool": "pool",
    "ModelInfo": "spec",
    "ModelSpec": "spec",
    "ModelState": "spec",
    "ReleaseRecord": "spec",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value
