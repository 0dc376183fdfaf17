"""The stage for tests of the manager, and engines that its workers find."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)


@pytest.fixture(autouse=True)
def _engines(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [HERE, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


@pytest.fixture(autouse=True, scope="session")
def _one_context() -> Iterator[None]:
    yield
    if "stage" in sys.modules:
        import rclpy
        from stage import shared_context

        if shared_context.cache_info().currsize:
            rclpy.shutdown(context=shared_context())
