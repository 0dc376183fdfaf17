"""Draws a random tabletop: which objects, where, in what light, seen from where.

Writes into the arrays of one compiled model, so that no scene is compiled twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.random import Generator

from tools.train_detector import CLASS_NAMES
from tools.train_detector.assets import (
    CLUTTER_COUNT,
    HIDDEN_GROUP,
    INSTANCE_SCALES,
    OBJECTS,
    RANDOM_TEXTURE_SIZE,
    SHOWN_GROUP,
    SKYBOX_SIZE,
    TABLE_TOP_Z,
)

EYE = np.array([0.0395, 0.0, 0.202])
"""The eye camera of the neutral head in the world frame, metres."""

NECK = np.array([0.0, 0.0, 0.15])
"""The point that the head turns about, roughly; only spreads the camera's positions."""


@dataclass(frozen=True)
class Look:
    """What rendering needs to know about a drawn scene beside the model's arrays."""

    high_resolution: bool
    shadows: bool
    haze: bool
    exposure: float
    changed_textures: tuple[str, ...]


class Randomiser:
    """Draws scenes into a model. Owns nothing but the hull points it has gathered from the model's meshes."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self._model = model
        self._data = data
        self._vertices: dict[int, np.ndarray] = {}

    def vertices(self, geom: int) -> np.ndarray:
        """The mesh points of a geom in the geom's frame (N x 3, metres)."""
        mesh = int(self._model.geom_dataid[geom])
        if mesh not in self._vertices:
            start = self._model.mesh_vertadr[mesh]
            self._vertices[mesh] = self._model.mesh_vert[start : start + self._model.mesh_vertnum[mesh]].copy()
        return self._vertices[mesh]

    def apply(self, rng: Generator) -> Look:
        """Draws one scene and writes it into the model and its data."""
        self._place_camera(rng)
        shipped_look = rng.random() < 0.35
        self._paint_surroundings(rng, shipped_look)
        self._light(rng, shipped_look)
        centres = self._place_objects(rng)
        self._place_clutter(rng, centres)
        return Look(
            high_resolution=bool(rng.random() < 0.15),
            shadows=bool(rng.random() < 0.08),
            haze=shipped_look,
            exposure=float(rng.uniform(0.95, 1.05) if shipped_look else rng.uniform(0.7, 1.35)),
            changed_textures=("random_table", "random_wall", "sky"),
        )

    def _place_camera(self, rng: Generator) -> None:
        """The eye of a head that looks ahead and down, sometimes elsewhere, sometimes from closer."""
        kind = rng.random()
        if kind < 0.15:
            pitch, yaw, roll = rng.normal(0.0, 0.03, 3)
        elif kind < 0.75:
            pitch, yaw, roll = rng.uniform(-0.15, 0.7), rng.uniform(-0.7, 0.7), rng.normal(0.0, 0.12)
        else:
            pitch, yaw, roll = rng.uniform(-0.4, 0.7), rng.uniform(-1.0, 1.0), rng.normal(0.0, 0.25)
        rotation = _rotation(roll, pitch, yaw)
        position = NECK + rotation @ (EYE - NECK) + rng.normal(0.0, 0.008, 3)
        if rng.random() < 0.3:
            position = position + np.array([rng.uniform(-0.1, 0.35), rng.uniform(-0.2, 0.2), rng.uniform(-0.05, 0.25)])
        optical = np.stack([-rotation[:, 1], rotation[:, 2], -rotation[:, 0]], axis=1)
        mujoco.mju_mat2Quat(self._model.cam_quat[0], optical.ravel())
        self._model.cam_pos[0] = position
        self._model.cam_fovy[0] = 80.0 if rng.random() < 0.8 else rng.uniform(60.0, 90.0)
        self._camera_rotation, self._camera_position = rotation, position

    def _paint_surroundings(self, rng: Generator, shipped_look: bool) -> None:
        model = self._model
        self._texture("random_table")[:] = _random_texture(rng)
        self._texture("random_wall")[:] = _random_texture(rng)
        sky = self._texture("sky")
        if shipped_look:
            top, bottom = np.array([0.3, 0.5, 0.7]) * 255, np.zeros(3)
        else:
            top, bottom = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
        ramp = np.tile(np.linspace(0, 1, SKYBOX_SIZE), 6)[:, None, None]
        sky[:] = ((1 - ramp) * top + ramp * bottom).astype(np.uint8)
        wooden = shipped_look or rng.random() < 0.35
        self._show("table_mesh", wooden)
        self._show("table_box", not wooden)
        self._paint("table_mesh", "wood", np.ones(3) if shipped_look else rng.uniform(0.5, 1.0, 3))
        box_material = str(rng.choice(["wood", "checker", "random_table", ""], p=[0.2, 0.1, 0.4, 0.3]))
        self._paint("table_box", box_material, rng.uniform(0.15, 1.0, 3))
        box = model.geom("table_box")
        box.size[:2] = rng.uniform(0.45, 0.9), rng.uniform(0.35, 1.0)
        box.pos[0] = box.size[0] - 0.2
        self._show("floor", shipped_look or rng.random() < 0.8)
        floor = "checker" if shipped_look else str(rng.choice(["checker", "random_wall", "wood", ""]))
        self._paint("floor", floor, np.ones(3) if shipped_look else rng.uniform(0.2, 1.0, 3))
        for name, offset in (("wall_front", 0), ("wall_left", 1), ("wall_right", 1)):
            self._show(name, not shipped_look and rng.random() < 0.6)
            self._paint(name, str(rng.choice(["random_wall", "checker", ""])), rng.uniform(0.15, 1.0, 3))
            sign = -1.0 if name == "wall_right" else 1.0
            model.geom(name).pos[offset] = sign * rng.uniform(1.2, 3.0)

    def _light(self, rng: Generator, shipped_look: bool) -> None:
        model = self._model
        head, sun, lamp = model.vis.headlight, model.light("sun"), model.light("lamp")
        head.specular[:] = 0.0
        lamp.castshadow[:] = 0
        sun.castshadow[:] = 1
        if shipped_look:
            head.diffuse[:], head.ambient[:] = 0.6, 0.3
            sun.dir[:], sun.diffuse[:], lamp.active[:] = (0.0, 0.0, -1.0), 0.7, 0
            sun.active[:] = 1
            return
        head.diffuse[:] = rng.uniform(0.2, 0.7) * _tint(rng)
        head.ambient[:] = rng.uniform(0.2, 0.45) * _tint(rng)
        direction = np.array([rng.uniform(-1, 1), rng.uniform(-1, 1), -rng.uniform(0.4, 1.5)])
        sun.dir[:] = direction / np.linalg.norm(direction)
        sun.diffuse[:] = rng.uniform(0.2, 0.9) * _tint(rng)
        sun.active[:] = rng.random() < 0.85
        lamp.pos[:] = rng.uniform([0.0, -1.0, 0.5], [1.2, 1.0, 2.0])
        lamp.diffuse[:] = rng.uniform(0.2, 0.8) * _tint(rng)
        lamp.active[:] = rng.random() < 0.5

    def _place_objects(self, rng: Generator) -> list[np.ndarray]:
        for name in CLASS_NAMES:
            for index in range(len(INSTANCE_SCALES)):
                self._show(f"{name}_{index}", False)
        centres: list[np.ndarray] = []
        if rng.random() < 0.06:
            return centres
        wanted: list[tuple[str, int]] = []
        for name in CLASS_NAMES:
            count = int(rng.choice(4, p=[0.15, 0.4, 0.3, 0.15]))
            wanted += [(name, int(i)) for i in rng.choice(len(INSTANCE_SCALES), count, replace=False)]
        for name, index in (wanted[i] for i in rng.permutation(len(wanted))):
            spot = self._free_spot(rng, centres, 0.07)
            if spot is not None:
                self._put(rng, name, index, spot)
                centres.append(spot)
        return centres

    def _free_spot(self, rng: Generator, centres: list[np.ndarray], gap: float) -> np.ndarray | None:
        """A point of the table that is likely to be in view and at least `gap` metres from the others."""
        for _ in range(20):
            bearing = np.arctan2(self._camera_rotation[1, 0], self._camera_rotation[0, 0]) + rng.uniform(-0.75, 0.75)
            distance = rng.uniform(0.2, 0.85)
            spot: np.ndarray = self._camera_position[:2] + distance * np.array([np.cos(bearing), np.sin(bearing)])
            if rng.random() < 0.3:
                spot = np.array([rng.uniform(0.2, 0.9), rng.uniform(-0.4, 0.4)])
            if all(np.linalg.norm(spot - other) > gap for other in centres):
                return spot
        return None

    def _put(self, rng: Generator, name: str, index: int, spot: np.ndarray) -> None:
        geom = self._model.geom(f"{name}_{index}").id
        pose = np.zeros(9)
        mujoco.mju_quat2Mat(pose, np.array(OBJECTS[name].rest))
        rest = pose.reshape(3, 3)
        kind, tipped = rng.random(), 0.35 if name == "apple" else 0.2
        if kind < tipped:
            quaternion = rng.normal(size=4)
            mujoco.mju_quat2Mat(pose, quaternion / np.linalg.norm(quaternion))
            turn = pose.reshape(3, 3) @ rest
        else:
            roll, pitch = rng.normal(0.0, 0.05, 2)
            turn = _rotation(roll, pitch, rng.uniform(-np.pi, np.pi)) @ rest
        body = self._model.body(f"{name}_{index}")
        inner = np.zeros(9)
        mujoco.mju_quat2Mat(inner, self._model.geom_quat[geom])
        points = (self.vertices(geom) @ inner.reshape(3, 3).T + self._model.geom_pos[geom]) @ turn.T
        centre = 0.5 * (points.max(0) + points.min(0))
        mocap = int(body.mocapid[0])
        self._data.mocap_pos[mocap] = [*(spot - centre[:2]), TABLE_TOP_Z - points[:, 2].min()]
        mujoco.mju_mat2Quat(self._data.mocap_quat[mocap], turn.ravel())
        self._show(f"{name}_{index}", True)
        tint = np.ones(3) if rng.random() < 0.5 else np.clip(rng.normal(0.95, 0.1, 3), 0.6, 1.2)
        self._model.mat_rgba[self._model.material(f"{name}_{index}").id, :3] = np.minimum(tint, 1.0)

    def _place_clutter(self, rng: Generator, centres: list[np.ndarray]) -> None:
        """Primitive bodies and a portrait board: things that are none of the classes, some in front of them."""
        count = int(rng.integers(0, 5)) if rng.random() < 0.5 else int(rng.integers(0, CLUTTER_COUNT + 1))
        if rng.random() < 0.3:
            count = 0
        kinds = [mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CYLINDER]
        kinds += [mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_ELLIPSOID]
        for index in range(CLUTTER_COUNT):
            name = f"clutter_{index}"
            spot = self._free_spot(rng, centres, 0.06) if index < count else None
            self._show(name, spot is not None)
            if spot is None:
                continue
            geom = self._model.geom(name)
            geom.type[:] = int(kinds[int(rng.integers(len(kinds)))])
            geom.size[:] = rng.uniform(0.008, 0.05, 3)
            material = str(rng.choice(["", "", "", "wood", "random_table"]))
            self._paint(name, material, rng.uniform(0.0, 1.0, 3))
            mocap = int(self._model.body(name).mocapid[0])
            height = float(geom.size[0] if geom.type[0] == int(mujoco.mjtGeom.mjGEOM_SPHERE) else geom.size.max())
            self._data.mocap_pos[mocap] = [*spot, height if rng.random() < 0.8 else rng.uniform(0.1, 0.5)]
            roll, pitch = rng.choice([0, np.pi / 2], 2)
            turn = _rotation(roll, pitch, rng.uniform(0, np.pi))
            mujoco.mju_mat2Quat(self._data.mocap_quat[mocap], turn.ravel())
        self._show("portrait", bool(rng.random() < 0.15))
        board = int(self._model.body("portrait").mocapid[0])
        self._data.mocap_pos[board] = [rng.uniform(0.5, 1.3), rng.uniform(-0.5, 0.5), rng.uniform(0.0, 0.4)]
        upright = _rotation(0.0, 0.0, np.pi / 2 + rng.normal(0.0, 0.3))
        mujoco.mju_mat2Quat(self._data.mocap_quat[board], upright.ravel())

    def _texture(self, name: str) -> np.ndarray:
        """A texture's pixels (H x W x channels), to be written in place."""
        texture = self._model.texture(name).id
        height, width = int(self._model.tex_height[texture]), int(self._model.tex_width[texture])
        channels, start = int(self._model.tex_nchannel[texture]), int(self._model.tex_adr[texture])
        pixels = self._model.tex_data[start : start + height * width * channels]
        return np.asarray(pixels).reshape(height, width, channels)

    def _show(self, geom: str, shown: bool) -> None:
        self._model.geom(geom).group[:] = SHOWN_GROUP if shown else HIDDEN_GROUP

    def _paint(self, geom: str, material: str, colour: np.ndarray) -> None:
        """Gives a geom a material, or a plain colour where `material` is empty."""
        view = self._model.geom(geom)
        view.matid[:] = self._model.material(material).id if material else -1
        view.rgba[:3] = colour
        view.rgba[3] = 1.0


def _rotation(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """Rotation matrix of the Euler angles xyz in radians; positive pitch is nose down."""
    cr, sr, cp, sp, cy, sy = np.cos(roll), np.sin(roll), np.cos(pitch), np.sin(pitch), np.cos(yaw), np.sin(yaw)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def _tint(rng: Generator) -> np.ndarray:
    return np.clip(rng.normal(1.0, 0.08, 3), 0.7, 1.3)


def _random_texture(rng: Generator) -> np.ndarray:
    """Smooth random colour patterns: patches, stripes or noise between two colours."""
    size = RANDOM_TEXTURE_SIZE
    first, second = rng.uniform(0, 255, (2, 3))
    grid = int(rng.choice([2, 4, 8, 16, 32]))
    coarse = rng.random((grid, 1 if rng.random() < 0.3 else grid))
    rows = np.linspace(0, coarse.shape[0] - 1e-6, size).astype(int)
    columns = np.linspace(0, coarse.shape[1] - 1e-6, size).astype(int)
    weight = coarse[np.ix_(rows, columns)][..., None]
    pattern: np.ndarray = weight * first + (1 - weight) * second
    return pattern.astype(np.uint8)
