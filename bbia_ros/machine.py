"""What machine this is, for reports and benchmark results."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any


def describe() -> dict[str, Any]:
    """Processor, cores, memory, Python and system of this machine."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    names = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    kilobytes = int(Path("/proc/meminfo").read_text(encoding="utf-8").split()[1])
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": len(names),
        "memory_gb": round(kilobytes / 1e6, 1),
        "python": platform.python_version(),
        "system": platform.platform(),
    }
