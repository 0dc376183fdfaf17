"""The baseline of the stack's shells: bare lifecycle nodes, as many in as many processes, with nothing in them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable

from bbia_ros.residency.accounting import pss_bytes

PROGRAM = """
import sys
import rclpy
from rclpy.experimental import EventsExecutor
from rclpy.lifecycle import LifecycleNode

rclpy.init()
executor = EventsExecutor()
for number in range(int(sys.argv[1])):
    node = LifecycleNode(f"bare_{sys.argv[1]}_{number}")
    node.trigger_configure()
    executor.add_node(node)
executor.spin_once(timeout_sec=1.0)
print("ready", flush=True)
sys.stdin.readline()
"""


TUNED = ("FASTRTPS_DEFAULT_PROFILES_FILE", "MALLOC_ARENA_MAX")
"""Settings of our own that a bare node does not have."""


def total_pss_mb(nodes_per_process: Iterable[int]) -> float:
    """PSS of such processes together, all alive at the same time [MB]."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if name not in TUNED},
        )
        for count in nodes_per_process
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        return sum(pss_bytes(process.pid) for process in processes) / 1e6
    finally:
        for process in processes:
            process.communicate("\n", timeout=20)
