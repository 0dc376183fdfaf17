"""How our processes find each other: the middleware's settings, and a ROS domain that nobody on this machine uses."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

from bbia_ros.resources import shared_folder

LAST_DOMAIN = 101
"""Highest domain whose ports lie below Linux's ephemeral range."""
PORT_BASE, PORT_GAIN = 7400, 250
"""Ports of a domain begin at PORT_BASE + PORT_GAIN * domain (DDS-RTPS 9.6.1.1)."""


def set_middleware_defaults(environment: MutableMapping[str, str]) -> None:
    """Sets what the user has not set himself: discovery on this machine only, and our profile of Fast DDS.

    Args:
        environment: of a process that is to be started, or `os.environ` before rclpy is initialised.
    """
    environment.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    if "FASTDDS_DEFAULT_PROFILES_FILE" not in environment:  # the name that Fast DDS 3 gives it
        environment.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(shared_folder("config") / "fastdds.xml"))


def free_domain(tables: tuple[Path, ...] = (Path("/proc/net/udp"), Path("/proc/net/udp6"))) -> int:
    """A domain in 1 .. 101 without an open UDP port in its range; where to begin depends on the process id.

    Args:
        tables: the kernel's lists of UDP sockets.
    """
    used = {(port - PORT_BASE) // PORT_GAIN for table in tables for port in _open_ports(table)}
    start = os.getpid() % LAST_DOMAIN
    candidates = [1 + (start + step) % LAST_DOMAIN for step in range(LAST_DOMAIN)]
    return next((domain for domain in candidates if domain not in used), candidates[0])


def use_private_graph(domain: int | None = None) -> int:
    """Sets the environment of everything that speaks ROS from now on: this machine only, and a domain of its own.

    Args:
        domain: the domain; None: one that nobody uses.

    Returns:
        The domain.
    """
    chosen = free_domain() if domain is None else domain
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["ROS_DOMAIN_ID"] = str(chosen)
    set_middleware_defaults(os.environ)
    return chosen


def _open_ports(table: Path) -> list[int]:
    try:
        rows = table.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []  # no such protocol here
    return [int(row.split()[1].rpartition(":")[2], 16) for row in rows if row.strip()]
