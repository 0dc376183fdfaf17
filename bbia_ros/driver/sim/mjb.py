"""Compiled models, kept as MJB files: loading one takes a tenth of the time and a third of the memory of compiling.

A model is compiled by a process of its own (`python -m bbia_ros.driver.sim.mjb`), so that the 500 MB it needs for a
moment are gone before the simulator starts. Files lie in `cache_folder("mjb")`, named after everything they depend on;
a sidecar holds size and checksum, because MuJoCo reads a damaged file without complaint or ends the process.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bbia_ros.driver.sim import assets, meshes, scene
from bbia_ros.driver.sim.bindings import SimulatorUnavailable, load_mujoco
from bbia_ros.driver.sim.scene import SceneOptions, Variant
from bbia_ros.resources import cache_folder

KEEP = 12
"""Compiled models that stay in the cache; the oldest go."""
COMPILE_TIMEOUT_S = 50.0

_logger = logging.getLogger(__name__)


def load(variant: Variant, options: SceneOptions) -> Any:
    """Returns the `mujoco.MjModel` of a scene, from the cache, compiled first where it is missing or damaged.

    Raises:
        SimulatorUnavailable: a library or file is missing, or compiling failed; the message says why.
    """
    mujoco = load_mujoco()
    path = prepare(variant, options)
    try:
        return mujoco.MjModel.from_binary_path(str(path))
    except ValueError as error:
        _logger.warning("%s cannot be loaded (%s); compiling it again", path, error)
    path.unlink(missing_ok=True)
    return mujoco.MjModel.from_binary_path(str(prepare(variant, options)))


def prepare(variant: Variant, options: SceneOptions) -> Path:
    """Makes sure that a scene is compiled, and returns its file. Raises what `load` raises."""
    folder = _folder()
    path = folder / f"{variant}-{_key(variant, options)}.mjb"
    damage = _damage(path)
    if damage is None:
        os.utime(path)
        return path
    if path.exists():
        _logger.warning("%s %s; compiling it again", path, damage)
    job = {"variant": variant, "options": asdict(options), "path": str(path)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bbia_ros.driver.sim.mjb", json.dumps(job)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMPILE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SimulatorUnavailable(f"compiling the scene took longer than {COMPILE_TIMEOUT_S:.0f} s") from error
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise SimulatorUnavailable(f"the scene {options.scene!r} cannot be compiled: {reason}")
    _prune(folder)
    return path


def _folder() -> Path:
    try:
        return cache_folder("mjb")
    except OSError as error:
        raise SimulatorUnavailable(
            f"the folder for compiled scenes cannot be made ({error}); set XDG_CACHE_HOME to a writable one"
        ) from error


def _key(variant: Variant, options: SceneOptions) -> str:
    """Digest of everything a compiled model depends on."""
    mujoco = load_mujoco()
    path = assets.scene_path(options.scene)
    files = [path, path.parent.parent / "reachy_mini.xml", *sorted(assets.asset_folder(path).rglob("*"))]
    if variant != "physics":
        files.append(assets.portrait_path())
    digest = hashlib.sha256(json.dumps([mujoco.__version__, variant, asdict(options)]).encode())
    for file in files:
        if file.is_file():
            status = file.stat()
            digest.update(f"{file} {status.st_size} {status.st_mtime_ns}".encode())
    for module in (scene, meshes):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:16]


def _sidecar(path: Path) -> Path:
    return path.with_suffix(".json")


def _checksum(path: Path) -> dict[str, int]:
    content = path.read_bytes()
    return {"size": len(content), "crc32": zlib.crc32(content)}


def _damage(path: Path) -> str | None:
    """Returns what is wrong with a cached file, None when nothing is."""
    if not path.is_file():
        return "is missing"
    try:
        expected = json.loads(_sidecar(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "has no readable checksum"
    return None if _checksum(path) == expected else "is damaged"


def _prune(folder: Path) -> None:
    models = sorted(folder.glob("*.mjb"), key=lambda file: file.stat().st_mtime, reverse=True)
    for old in models[KEEP:]:
        old.unlink(missing_ok=True)
        _sidecar(old).unlink(missing_ok=True)


def main(job: str) -> int:
    """Compiles one model into its file, atomically."""
    request = json.loads(job)
    mujoco = load_mujoco()
    path = Path(request["path"])
    part = path.with_name(f"{path.stem}.{os.getpid()}.part")
    try:
        model = scene.build(request["variant"], SceneOptions(**request["options"]))
        mujoco.mj_saveModel(model, str(part))
        checksum = _checksum(part)
        os.replace(part, path)
        _sidecar(path).write_text(json.dumps(checksum), encoding="utf-8")
    except (SimulatorUnavailable, ValueError, OSError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    finally:
        part.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
