"""The one list of entry points, for pip and IDE users and, through CMake, for `ros2 run`.

`python setup.py --write-scripts FOLDER PYTHON` writes one small executable per entry point; CMakeLists.txt
installs them under lib/bbia_ros.
"""

from __future__ import annotations

import sys
from pathlib import Path

ENTRY_POINTS = {
    "bbia": "bbia_ros.cli:main",
    "manager": "bbia_ros.manager.node:main",
    "driver": "bbia_ros.driver.node:main",
    "perception": "bbia_ros.perception.node:main",
    "speech": "bbia_ros.speech.node:main",
    "dialogue": "bbia_ros.dialogue.node:main",
    "emotion": "bbia_ros.emotion.node:main",
    "motion": "bbia_ros.motion.node:main",
    "process": "bbia_ros.bringup:main",
}

SCRIPT = """#!{python}
import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C during the imports ends quietly; main() handles it from then on

from {module} import {function}

sys.exit({function}())
"""


def write_scripts(folder: Path, python: str) -> None:
    """Writes one executable per entry point into `folder`, run by the interpreter `python`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in ENTRY_POINTS.items():
        module, function = target.split(":")
        script = folder / name
        script.write_text(SCRIPT.format(python=python, module=module, function=function), encoding="utf-8")
        script.chmod(0o755)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write-scripts"]:
        write_scripts(Path(sys.argv[2]), sys.argv[3])
    else:
        from setuptools import find_packages, setup

        setup(
            name="bbia_ros",
            version="0.1.0",
            packages=find_packages(include=["bbia_ros", "bbia_ros.*"]),
            package_data={"bbia_ros": ["py.typed"]},
            python_requires=">=3.10",
            license="Apache-2.0",
            entry_points={"console_scripts": [f"{name}={target}" for name, target in ENTRY_POINTS.items()]},
        )
