"""Who is in memory: pool, ledger, worker processes, accounting. Knows nothing of ROS.

Names are imported when first used: a worker process imports this package too, and needs none of the pool.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bbia_ros.residency.errors import (
        AdmissionRefused,
        BeingSwapped,
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
        SwapFailed,
        SwapSuperseded,
        UnknownVariant,
        WorkerDied,
    )
    from bbia_ros.residency.lease import Lease, Stream
    from bbia_ros.residency.ledger import Ledger, LedgerEntry
    from bbia_ros.residency.limits import Limits
    from bbia_ros.residency.measurements import Measurements
    from bbia_ros.residency.pool import Pool
    from bbia_ros.residency.slot import ModelSlot
    from bbia_ros.residency.spec import ModelInfo, ModelSpec, ModelState, ReleaseRecord
    from bbia_ros.residency.variants import Swap, Variant

__all__ = [
    "AdmissionRefused",
    "BeingSwapped",
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
    "ModelSlot",
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
    "Swap",
    "SwapFailed",
    "SwapSuperseded",
    "UnknownVariant",
    "Variant",
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
    "ModelSlot": "slot",
    "ModelInfo": "spec",
    "ModelSpec": "spec",
    "ModelState": "spec",
    "ReleaseRecord": "spec",
    "Swap": "variants",
    "Variant": "variants",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value
