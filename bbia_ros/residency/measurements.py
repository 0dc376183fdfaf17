"""What models really need, remembered from earlier loads."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bbia_ros.residency.errors import LedgerError
from bbia_ros.residency.jsonfile import SharedJson
from bbia_ros.residency.spec import MB, ModelSpec

_log = logging.getLogger(__name__)
_KEPT = 500
_NEWS = 0.02
"""A figure that changed by less than this share is not worth writing."""
_SLOWER = 0.2
"""Durations vary more: page cache, other processes."""


def state_directory() -> Path:
    """XDG_STATE_HOME/bbia_ros, by default ~/.local/state/bbia_ros."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "state") / "bbia_ros"


class Measurements:
    """What models need: private bytes when loaded, at the peak while loading, in use; and how long a load takes.

    Per machine, model, engine, arguments and device. Kept in a JSON file; without one (path "") only in memory. A file
    that cannot be written costs a warning: the declared size serves again next time.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        if path is None:
            path = state_directory() / "measurements.json"
        self._file = SharedJson(Path(path)) if path else None
        self._known: dict[str, dict[str, Any]] | None = None if self._file is not None else {}

    def peak_bytes(self, spec: ModelSpec) -> int:
        """Bytes to reserve for loading: the measured peak, or what the spec declares."""
        entry = self._entry(spec)
        peak = entry.get("peak_bytes")
        if type(peak) is not int or peak <= 0:
            return int(spec.declared_mb * MB)
        return max(peak, self.used_bytes(spec))

    def used_bytes(self, spec: ModelSpec) -> int:
        """Private bytes before its last unload, after it had been used; 0 if not measured."""
        return _positive(self._entry(spec), "used_bytes")

    def settled_bytes(self, spec: ModelSpec) -> int:
        """Private bytes that it keeps once it is loaded and used; 0 if not measured."""
        return max(_positive(self._entry(spec), "loaded_bytes"), self.used_bytes(spec))

    def load_s(self, spec: ModelSpec) -> float:
        """Duration of its last load [s]; 0 if not measured."""
        seconds = self._entry(spec).get("load_s")
        return float(seconds) if isinstance(seconds, (int, float)) and 0 <= seconds < float("inf") else 0.0

    def record(self, spec: ModelSpec, loaded: int, peak: int, load_s: float = 0.0) -> None:
        """Remember a load."""
        figures: dict[str, float] = {"loaded_bytes": int(loaded), "peak_bytes": int(max(peak, loaded))}
        if abs(load_s - self.load_s(spec)) > _SLOWER * load_s:
            figures["load_s"] = round(load_s, 3)
        self._update(spec, figures)

    def record_peak(self, spec: ModelSpec, reached: int) -> None:
        """Remember that a load needed at least so much, though it was not let go on."""
        if reached > self.peak_bytes(spec):
            self._update(spec, {"peak_bytes": int(reached)})

    def record_use(self, spec: ModelSpec, held: int) -> None:
        """Remember what it held before it was unloaded: arenas and caches grow with use."""
        if abs(held - self.used_bytes(spec)) > _NEWS * held:
            self._update(spec, {"used_bytes": int(held)})

    def _update(self, spec: ModelSpec, figures: Mapping[str, float]) -> None:
        key, entry = _key(spec), self._entry(spec)
        known = self._load()
        old = {name: entry.get(name, 0) for name in figures}
        if all(
            type(old[name]) in (int, float) and abs(old[name] - value) <= _NEWS * value
            for name, value in figures.items()
        ):
            return
        known[key] = {**entry, "name": spec.name, **figures}
        if self._file is None:
            return
        try:
            with self._file.change() as data:
                data[key] = known[key]
                for stale in list(data)[: max(0, len(data) - _KEPT)]:
                    del data[stale]
        except LedgerError as error:
            _log.warning("measured sizes are not kept: %s", error)

    def _entry(self, spec: ModelSpec) -> dict[str, Any]:
        entry = self._load().get(_key(spec))
        return entry if isinstance(entry, dict) else {}

    def _load(self) -> dict[str, Any]:
        if self._known is None:
            assert self._file is not None
            try:
                self._known = self._file.read()
            except LedgerError as error:
                _log.warning("measured sizes are not known: %s", error)
                self._known = {}
        return self._known


def _positive(entry: Mapping[str, Any], key: str) -> int:
    value = entry.get(key)
    return value if type(value) is int and value > 0 else 0


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
