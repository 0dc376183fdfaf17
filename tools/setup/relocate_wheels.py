"""Points the CMake files of the ROS wheels to this environment's interpreter.

The wheels were built in a manylinux image; their CMake files name its /opt/python/cpXY-cpXY folders.

usage: relocate_wheels.py VENV (run by the interpreter of that environment)
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

BUILD_FOLDER = re.compile(rb"/opt/python/cp\d+-cp\d+/(lib/python3\.\d+/site-packages|include/python3\.\d+)")


def relocate(venv: Path) -> int:
    """Rewrites the files under `venv`/share in place; returns how many were changed."""
    targets = {b"lib": sysconfig.get_path("purelib").encode(), b"inc": sysconfig.get_path("include").encode()}
    count = 0
    for path in (venv / "share").rglob("*"):
        if not path.is_file() or path.is_symlink():
            continue
        before = path.read_bytes()
        after = BUILD_FOLDER.sub(lambda match: targets[match[1][:3]], before)
        if after != before:
            path.write_bytes(after)
            count += 1
    return count


if __name__ == "__main__":
    print(f"setup: relocated {relocate(Path(sys.argv[1]).resolve())} files of the ROS wheels")
