"""Pools with real workers that find the toy engines, and keep their files to themselves."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bbia_ros.residency import Measurements, Pool

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    # For inline engines, and for the modules that tests share.
    sys.path.insert(0, HERE)


@pytest.fixture(autouse=True)
def _toy_engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    paths = [HERE, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture(params=["worker", "inline"])
def isolation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make_pool() -> Iterator[Callable[..., Pool]]:
    """Makes pools that are closed after the test; no budget unless given."""
    pools: list[Pool] = []

    def make(**arguments) -> Pool:
        arguments.setdefault("measurements", Measurements(""))
        pool = Pool(**arguments)
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        pool.close()
