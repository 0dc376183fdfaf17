"""Downloads models that no package carries, when somebody asks for it; never from within a node."""

from __future__ import annotations

import http.client
import os
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

from bbia_ros.residency.catalog import CatalogEntry, ModelNotFound, locate, models_folder

_BLOCK = 1 << 20
_SILENCE_S = 30.0
_SPARE_BYTES = 50_000_000


class FetchFailed(OSError):
    """A model could not be downloaded; what was there before is untouched."""


def fetch(entry: CatalogEntry, progress: Callable[[str, int, int], None] = lambda name, done, total: None) -> Path:
    """Download a model's files beside each other and put them in place when all are whole.

    Args:
        entry: Of the catalogue, with a url.
        progress: Told a file's name, its bytes so far and its size (0: unknown).

    Returns:
        Where the model is; nothing is downloaded if it is there already.

    Raises:
        FetchFailed: No network, no such file, no room, or it came truncated.
    """
    try:
        return locate(entry)
    except ModelNotFound:
        pass
    target = models_folder() / entry.path
    folder = target if entry.files and not target.suffix else target.parent
    urls = [f"{entry.url}/{name}" for name in entry.files] or [entry.url]
    partial = folder.with_name(f"{folder.name}.part")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        free = shutil.disk_usage(partial).free
        if free < entry.minimum_bytes + _SPARE_BYTES:
            raise FetchFailed(
                f"{entry.name} needs {entry.minimum_bytes / 1e6:.0f} MB, {free / 1e6:.0f} MB are free under {partial}"
            )
        for url in urls:
            _download(url, partial / url.rpartition("/")[2], progress)
        size = sum(file.stat().st_size for file in partial.iterdir())
        if size < entry.minimum_bytes:
            raise FetchFailed(f"{entry.name} came with {size} bytes, at least {entry.minimum_bytes} are expected")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    except FetchFailed:
        raise
    except OSError as error:
        raise FetchFailed(f"{entry.name} cannot be put into {folder}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return locate(entry)


def _download(url: str, path: Path, progress: Callable[[str, int, int], None]) -> None:
    try:
        with urllib.request.urlopen(url, timeout=_SILENCE_S) as answer, path.open("wb") as file:
            total, done = int(answer.headers.get("Content-Length") or 0), 0
            while block := answer.read(_BLOCK):
                file.write(block)
                done += len(block)
                progress(path.name, done, total)
    except (URLError, http.client.HTTPException, TimeoutError, ValueError) as error:
        raise FetchFailed(f"{url} cannot be downloaded: {error}; is there a network?") from error
    if total and done != total:
        raise FetchFailed(f"{url} broke off after {done} of {total} bytes")
