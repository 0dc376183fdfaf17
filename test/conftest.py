"""Fixtures for all tests: a private ROS graph, private state folders, and a check that nothing is left running."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bbia_ros.domain import free_domain

# tools/ and benchmarks/ are not installed as modules. Last, so that the source package does not hide the built one.
sys.path.append(str(Path(__file__).resolve().parents[1]))


@pytest.fixture(autouse=True, scope="session")
def _private_graph() -> None:
    """Tests talk to nobody outside this machine, nor to each other's domains."""
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.setdefault("ROS_DOMAIN_ID", str(free_domain()))


@pytest.fixture(autouse=True, scope="session")
def _private_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Ledger, measurements and logs of tests stay apart from the user's. Caches are shared: they cost minutes."""
    base = tmp_path_factory.mktemp("xdg")
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        folder = base / name.lower()
        folder.mkdir(mode=0o700)
        os.environ[name] = str(folder)
    os.environ["ROS_LOG_DIR"] = str(base / "log")


def _children() -> set[int]:
    """Pids of all living descendants of this process."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = set[int](), [os.getpid()]
    while waiting:
        for child in parents.get(waiting.pop(), []):
            found.add(child)
            waiting.append(child)
    return found


@pytest.fixture(autouse=True, scope="module")
def _no_process_left() -> Iterator[None]:
    """Every module ends with the processes it began with."""
    before = _children()
    yield
    left = _children() - before
    commands = []
    for pid in left:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # gone meanwhile
        commands.append(f"{pid}: {command}")
    assert not commands, "processes left behind:\n" + "\n".join(commands)
