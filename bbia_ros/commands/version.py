"""`bbia version`: what runs here."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform

SUMMARY = "show the versions of bbia_ros and of what it stands on"

LIBRARIES = ("rclpy", "mujoco", "onnxruntime", "mediapipe", "faster-whisper", "piper-tts", "xllamacpp", "torch")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments: none."""


def run(arguments: argparse.Namespace) -> int:
    """Prints the versions; imports none of the libraries."""
    print(f"bbia_ros {_version('bbia_ros')}, Python {platform.python_version()} on {platform.machine()}")
    for library in LIBRARIES:
        print(f"  {library:15} {_version(library)}")
    return 0


def _version(library: str) -> str:
    if library == "bbia_ros":
        return _package_version()
    for name in (library, f"ros-{library}"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "not installed"


def _package_version() -> str:
    """Version in package.xml, which every installation of a ROS package carries."""
    import os
    import re
    from pathlib import Path

    prefixes = [Path(prefix) for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    here = Path(os.path.abspath(__file__)).parents[2]
    for path in (here / "package.xml", *(prefix / "share" / "bbia_ros" / "package.xml" for prefix in prefixes)):
        if path.is_file():
            match = re.search(r"<version>(.*?)</version>", path.read_text(encoding="utf-8"))
            if match:
                return match[1]
    return "of unknown version"
