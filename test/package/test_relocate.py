"""The ROS wheels' CMake files are pointed to the environment they lie in, whatever they named before."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest

RELOCATE = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "setup" / "relocate_wheels.py"))["relocate"]
LIBRARY, INCLUDE = "/new/.venv/lib/python3.11/site-packages", "/usr/include/python3.11"
EXPORT = 'INTERFACE_INCLUDE_DIRECTORIES "{include};{library}/numpy/_core/include"\n'
OWN = '"${rosidl_generator_py_DIR}/../../../lib/python3.11/site-packages/rosidl_generator_py/__init__.py"\n'


@pytest.mark.parametrize("builder", ["/opt/python/cp311-cp311", "/home/someone/other/.venv"])
def test_foreign_folders_are_replaced(tmp_path: Path, builder: str) -> None:
    export = tmp_path / "share" / "std_msgs" / "cmake" / "export.cmake"
    export.parent.mkdir(parents=True)
    before = EXPORT.format(include=f"{builder}/include/python3.11", library=f"{builder}/lib/python3.11/site-packages")
    export.write_text(before + OWN)

    assert RELOCATE(tmp_path, LIBRARY, INCLUDE) == 1
    assert export.read_text() == EXPORT.format(include=INCLUDE, library=LIBRARY) + OWN
    assert RELOCATE(tmp_path, LIBRARY, INCLUDE) == 0, "a second run finds nothing to do"


def test_a_file_linked_from_an_installers_cache_keeps_its_text_there(tmp_path: Path) -> None:
    cached = tmp_path / "cache.cmake"
    text = EXPORT.format(
        include="/opt/python/cp311-cp311/include/python3.11",
        library="/opt/python/cp311-cp311/lib/python3.11/site-packages",
    )
    cached.write_text(text)
    linked = tmp_path / "venv" / "share" / "export.cmake"
    linked.parent.mkdir(parents=True)
    os.link(cached, linked)

    assert RELOCATE(tmp_path / "venv", LIBRARY, INCLUDE) == 1
    assert cached.read_text() == text
    assert linked.read_text() != text
    assert sorted(file.name for file in linked.parent.iterdir()) == ["export.cmake"]
