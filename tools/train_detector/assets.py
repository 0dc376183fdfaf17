"""The object meshes and textures in the reachy-mini wheel, put together as a bare MuJoCo scene."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

INSTANCE_SCALES = (1.0, 1.0, 0.85, 1.2)
"""Size of each copy of an object, relative to the wheel's own scene; a picture shows some of the copies."""

CLUTTER_COUNT = 10
HIDDEN_GROUP = 5
SHOWN_GROUP = 0
TABLE_TOP_Z = 0.0
FLOOR_Z = -0.8
RANDOM_TEXTURE_SIZE = 64
SKYBOX_SIZE = 32


@dataclass(frozen=True)
class ObjectAsset:
    """Where one object's mesh and texture lie below the assets folder, and its scale in the wheel's scene."""

    mesh: str
    texture: str
    scale: float
    rest: tuple[float, float, float, float]
    """Quaternion (w, x, y, z) of the object at rest on the table in the wheel's scene, after it has settled."""


OBJECTS: dict[str, ObjectAsset] = {
    "apple": ObjectAsset(
        "food_apple_01_1k.blend/food_apple_01_1k.obj",
        "food_apple_01_1k.blend/textures/food_apple_01_diff_1k.png",
        1.0,
        (0.5839, 0.5871, 0.3938, 0.3991),
    ),
    "croissant": ObjectAsset(
        "croissant_1k.blend/croissant_1k.obj",
        "croissant_1k.blend/textures/croissant_diff_1k.png",
        1.0,
        (0.5202, 0.4870, 0.4819, 0.5099),
    ),
    "duck": ObjectAsset(
        "rubber_duck_toy_1k.blend/rubber_duck_toy_1k.obj",
        "rubber_duck_toy_1k.blend/textures/rubber_duck_toy_diff_1k.png",
        0.4,
        (0.5004, 0.4999, -0.5004, -0.4993),
    ),
}
TABLE_MESH = "wooden_table_02_1k.blend/wooden_table_02_1k.obj"
TABLE_TEXTURE = "wooden_table_02_1k.blend/textures/wooden_table_02_diff_1k.png"


class AssetsMissing(FileNotFoundError):
    """The reachy-mini wheel with its meshes, or another source of pictures, is not installed."""


def assets_folder() -> Path:
    """Finds the wheel's mesh folder without importing `reachy_mini` (which would start GObject)."""
    spec = importlib.util.find_spec("reachy_mini")
    if spec is None or spec.origin is None:
        raise AssetsMissing("The object meshes are in the reachy-mini wheel: pip install --no-deps reachy-mini")
    folder = Path(spec.origin).parent / "descriptions" / "reachy_mini" / "mjcf" / "assets"
    if not folder.is_dir():
        raise AssetsMissing(f"reachy-mini is installed, but {folder} does not exist: install version 1.13.0")
    return folder


def build_spec(portrait: np.ndarray | None) -> mujoco.MjSpec:
    """Puts the scene together: objects, table, floor, walls, clutter, lights and one camera.

    Args:
        portrait: an RGB picture (H x W x 3, uint8) for the portrait board, or None for a board of plain colour.
    """
    assets = assets_folder()
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    spec.visual.quality.shadowsize = 1024
    spec.visual.quality.offsamples = 0
    spec.visual.global_.offwidth = 640
    spec.visual.global_.offheight = 480
    spec.stat.center = [0.4, 0.0, 0.0]
    spec.stat.extent = 1.0
    spec.visual.map.znear = 0.01
    spec.visual.map.zfar = 30.0
    spec.visual.rgba.haze = [0.15, 0.25, 0.35, 1.0]
    _add_materials(spec, assets, portrait)
    _add_surroundings(spec, assets)
    for name, asset in OBJECTS.items():
        for index, scale in enumerate(INSTANCE_SCALES):
            mesh = f"{name}_{scale}"
            if spec.mesh(mesh) is None:
                spec.add_mesh(name=mesh, file=str(assets / asset.mesh), scale=[asset.scale * scale] * 3)
            spec.add_material(name=f"{name}_{index}", textures=_texture_roles(name), shininess=0.2, specular=0.1)
            body = spec.worldbody.add_body(name=f"{name}_{index}", mocap=True)
            body.add_geom(
                name=f"{name}_{index}",
                type=mujoco.mjtGeom.mjGEOM_MESH,
                meshname=mesh,
                material=f"{name}_{index}",
                contype=0,
                conaffinity=0,
            )
    spec.worldbody.add_camera(name="eye", fovy=np.radians(80.0))
    return spec


def _texture_roles(texture: str) -> list[str]:
    roles = [""] * int(mujoco.mjtTextureRole.mjNTEXROLE)
    roles[int(mujoco.mjtTextureRole.mjTEXROLE_RGB)] = texture
    return roles


def _add_picture(spec: mujoco.MjSpec, name: str, picture: np.ndarray) -> None:
    texture = spec.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D)
    texture.height, texture.width, texture.nchannel = picture.shape
    texture.data = np.ascontiguousarray(picture, dtype=np.uint8).tobytes()


def _add_materials(spec: mujoco.MjSpec, assets: Path, portrait: np.ndarray | None) -> None:
    for name, asset in OBJECTS.items():
        spec.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, file=str(assets / asset.texture))
    spec.add_texture(name="wood", type=mujoco.mjtTexture.mjTEXTURE_2D, file=str(assets / TABLE_TEXTURE))
    spec.add_texture(
        name="checker",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        rgb1=[0.2, 0.3, 0.4],
        rgb2=[0.1, 0.2, 0.3],
        mark=mujoco.mjtMark.mjMARK_EDGE,
        markrgb=[0.8, 0.8, 0.8],
        width=300,
        height=300,
    )
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.3, 0.5, 0.7],
        rgb2=[0.0, 0.0, 0.0],
        width=SKYBOX_SIZE,
        height=6 * SKYBOX_SIZE,
    )
    blank = np.full((RANDOM_TEXTURE_SIZE, RANDOM_TEXTURE_SIZE, 3), 200, np.uint8)
    _add_picture(spec, "random_table", blank)
    _add_picture(spec, "random_wall", blank)
    _add_picture(spec, "portrait", blank if portrait is None else portrait)
    repeats = {"wood": [1, 1], "checker": [5, 5], "random_table": [1, 1], "random_wall": [2, 2], "portrait": [1, 1]}
    for name, repeat in repeats.items():
        uniform = name == "checker"
        spec.add_material(name=name, textures=_texture_roles(name), texrepeat=repeat, texuniform=uniform)


def _add_surroundings(spec: mujoco.MjSpec, assets: Path) -> None:
    world = spec.worldbody
    passive = {"contype": 0, "conaffinity": 0}
    box = mujoco.mjtGeom.mjGEOM_BOX
    world.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[0, 0, 0.05],
        pos=[0, 0, FLOOR_Z],
        material="checker",
        **passive,
    )
    spec.add_mesh(name="table", file=str(assets / TABLE_MESH))
    tilt = [np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0]
    world.add_geom(
        name="table_mesh",
        type=mujoco.mjtGeom.mjGEOM_MESH,
        meshname="table",
        material="wood",
        pos=[0.35, 0, FLOOR_Z],
        quat=tilt,
        **passive,
    )
    world.add_geom(
        name="table_box", type=box, size=[0.56, 0.5, 0.02], pos=[0.35, 0, -0.02], material="random_table", **passive
    )
    world.add_geom(name="wall_front", type=box, size=[0.02, 4, 2], pos=[2.0, 0, 1], material="random_wall", **passive)
    world.add_geom(name="wall_left", type=box, size=[4, 0.02, 2], pos=[0, 2, 1], material="random_wall", **passive)
    world.add_geom(name="wall_right", type=box, size=[4, 0.02, 2], pos=[0, -2, 1], material="random_wall", **passive)
    for index in range(CLUTTER_COUNT):
        world.add_body(name=f"clutter_{index}", mocap=True).add_geom(
            name=f"clutter_{index}", type=box, size=[0.03, 0.03, 0.03], **passive
        )
    world.add_body(name="portrait", mocap=True).add_geom(
        name="portrait", type=box, size=[0.2, 0.002, 0.2], material="portrait", **passive
    )
    world.add_light(
        name="sun", type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, pos=[-0.5, 0, 3.5], dir=[0, 0, -1], castshadow=False
    )
    world.add_light(
        name="lamp", type=mujoco.mjtLightType.mjLIGHT_POINT, pos=[0.5, 0.5, 1.5], dir=[0, 0, -1], castshadow=False
    )
