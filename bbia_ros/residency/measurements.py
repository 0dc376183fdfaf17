"""What models really need, remembered from earlier loads."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import platform
from pathlib import Path
from typing import Any

from bbia_ros.residency.errors import LedgerError
from bbia_ros.residency.jsonfile import SharedJson
from bbia_ros.residency.spec import MB, ModelSpec

_log = logging.getLogger(__name__)
_KEPT = 500


def state_directory() -> Path:
    """XDG_STATE_HOME/bbia_ros, by default ~/.local/state/bbia_ros."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "state") / "bbia_ros"


class Measurements:
    """Private bytes when loaded and at the peak while loading, per machine, model, engine, arguments and device.

    Kept in a JSON file; without one (path "") only in memory. A file that cannot be written costs a warning:
    the declared size serves again next time.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        if path is None:
            path = state_directory() / "measurements.json"
        self._file = SharedJson(Path(path)) if path else None
        self._known: dict[str, dict[str, Any]] | None = None if self._file is not None else {}

    def peak_bytes(self, spec: ModelSpec) -> int:
        """Bytes to reserve for loading: the measured peak, or what the spec declares."""
        figures = self._figures(spec)
        return figures[1] if figures is not None else int(spec.declared_mb * MB)

    def loaded_bytes(self, spec: ModelSpec) -> int | None:
        """Private bytes when loaded, if they were measured."""
        figures = self._figures(spec)
        return figures[0] if figures is not None else None

    def record(self, spec: ModelSpec, loaded: int, peak: int) -> None:
        """Remember a load."""
        key = _key(spec)
        entry = {"name": spec.name, "loaded_bytes": int(loaded), "peak_bytes": int(max(peak, loaded))}
        known = self._load()
        if known.get(key) == entry:
            return
        known[key] = entry
        if self._file is None:
            return
        try:
            with self._file.change() as data:
                data[key] = entry
                for old in list(data)[: max(0, len(data) - _KEPT)]:
                    del data[old]
        except LedgerError as error:
            _log.warning("measured sizes are not kept: %s", error)

    def _figures(self, spec: ModelSpec) -> tuple[int, int] | None:
        entry = self._load().get(_key(spec))
        if not isinstance(entry, dict):
            return None
        loaded, peak = entry.get("loaded_bytes"), entry.get("peak_bytes")
        if type(loaded) is not int or type(peak) is not int or not 0 < loaded <= peak:
            return None
        return loaded, peak

    def _load(self) -> dict[str, Any]:
        if self._known is None:
            assert self._file is not None
            try:
                self._known = self._file.read()
            except LedgerError as error:
                _log.warning("measured sizes are not known: %s", error)
                self._known = {}
        return self._known


@functools.lru_cache(maxsize=1)
def _machine() -> str:
    try:
        identity = Path("/etc/machine-id").read_text().strip()
    except OSError:
        identity = ""
    return identity[:12] or f"{platform.node()}-{platform.machine()}"


def _key(spec: ModelSpec) -> str:
    arguments = repr(sorted(spec.arguments.items())).encode()
    digest = hashlib.sha256(arguments).hexdigest()[:12]
    return f"{_machine()}|{spec.name}|{spec.engine}|{digest}|{spec.device}"
