"""Finds the files that come with the package: config/, models/ and launch/, installed or in a source tree."""

from __future__ import annotations

import os
from pathlib import Path


def shared_folder(name: str) -> Path:
    """Folder of that name which belongs to this package.

    Looks upwards from this file (source tree: beside the package; install: <prefix>/share/bbia_ros), then in
    AMENT_PREFIX_PATH.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    here = Path(os.path.abspath(__file__)).parent
    beside = here.parent / name
    if beside.is_dir():
        return beside
    prefixes = [*here.parents, *(Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p)]
    for prefix in prefixes:
        folder = prefix / "share" / "bbia_ros" / name
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f"the folder {name}/ of bbia_ros was not found; build the package (make build) or source its setup file"
    )


def cache_folder(*parts: str) -> Path:
    """Folder for files that can be made again, under XDG_CACHE_HOME/bbia_ros; created when missing."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base.joinpath("bbia_ros", *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
