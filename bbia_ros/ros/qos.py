"""Quality-of-service profiles: every endpoint uses one of these, so every queue is bounded (keep-last)."""

from __future__ import annotations

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy

MAX_DEPTH = 100
"""Deepest history that a qos_override may ask for."""


def _keep_last(
    depth: int, reliability: ReliabilityPolicy, durability: DurabilityPolicy = DurabilityPolicy.VOLATILE
) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability)


CAMERA = _keep_last(1, ReliabilityPolicy.BEST_EFFORT)
"""Newest frame wins."""
AUDIO = _keep_last(50, ReliabilityPolicy.RELIABLE)
"""One second of 20 ms chunks."""
STATE = _keep_last(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
"""Latched: late joiners get the last value."""
COMMAND = _keep_last(1, ReliabilityPolicy.RELIABLE)
"""Only the newest command counts."""
EVENT = _keep_last(10, ReliabilityPolicy.RELIABLE)
"""Things that happen and must not be lost."""
SENSOR = _keep_last(5, ReliabilityPolicy.BEST_EFFORT)
"""Small, frequent readings: joint states, head pose."""


def heartbeat(lease_s: float | None = None) -> QoSProfile:
    """Profile of a heartbeat: MANUAL_BY_TOPIC, so that a hung process is noticed, not only a dead one.

    Args:
        lease_s: liveliness lease [s]; None leaves it unlimited.
    """
    profile = QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        liveliness=LivelinessPolicy.MANUAL_BY_TOPIC,
    )
    if lease_s is not None:
        profile.liveliness_lease_duration = Duration(seconds=lease_s)
    return profile
