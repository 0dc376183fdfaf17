"""Points the CMake files of the ROS wheels to this environment's interpreter.

The wheels were built in a manylinux image; their CMake files name its /opt/python/cpXY-cpXY folders.

usage: relocate_wheels.py VENV (run by the interpreter of that environment)
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

FOREIGN_FOLDER = re.compile(
    rb"""(?<=["; ])/[^"; \n]*?/(lib/python3\.\d+/site-packages|include/python3\.\d+)(?=["/;])"""
)


def relocate(venv: Path, library: str, include: str) -> int:
    """Points the CMake files under `venv`/share to one interpreter's folders.

    Whatever folder a file names is replaced, not only the builder's: an installer that links files out of its cache
    may hand out a file that an earlier environment has already changed. For the same reason a changed file is made
    anew, never written in place.

    Args:
        venv: The environment.
        library: Its site-packages.
        include: The folder of Python.h.

    Returns:
        How many files were changed.
    """
    targets = {b"lib": library.encode(), b"inc": include.encode()}
    count = 0
    for path in (venv / "share").rglob("*.cmake"):
        before = path.read_bytes()
        after = FOREIGN_FOLDER.sub(lambda match: targets[match[1][:3]], before)
        if after != before:
            mine = path.with_suffix(".relocated")
            mine.write_bytes(after)
            mine.replace(path)
            count += 1
    return count


if __name__ == "__main__":
    changed = relocate(Path(sys.argv[1]).resolve(), sysconfig.get_path("purelib"), sysconfig.get_path("include"))
    print(f"setup: relocated {changed} files of the ROS wheels")
