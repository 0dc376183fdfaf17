"""Random tabletop pictures with their labels, rendered by MuJoCo from one compiled model.

A seed fixes a picture and its labels. Training seeds are even, held-out seeds are odd, so that the two sets never
share a scene whatever their sizes.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from numpy.random import Generator
from PIL import Image

from tools.train_detector import CLASS_NAMES
from tools.train_detector.assets import INSTANCE_SCALES, SHOWN_GROUP, build_spec
from tools.train_detector.randomise import Randomiser

WIDTH, HEIGHT = 320, 240
MIN_VISIBLE_PIXELS = 25
MIN_VISIBLE_SHARE = 0.18
"""An object's label is dropped when less than this share of its projected bounding box shows the object."""


@dataclass(frozen=True)
class LabelledPicture:
    """A rendered picture and what is to be found in it.

    `image` is H x W x 3 uint8 RGB; `boxes` N x 4 float32 (x1, y1, x2, y2) in pixels, right and bottom exclusive;
    `classes` N int64 indices into `CLASS_NAMES`.
    """

    image: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray


def training_seed(index: int) -> int:
    """Seed of the index-th training scene (even)."""
    return 2 * index


def held_out_seed(index: int) -> int:
    """Seed of the index-th held-out scene (odd)."""
    return 2 * index + 1


class TabletopRenderer:
    """Renders labelled pictures; owns one compiled model and two offscreen renderers. Close it when done."""

    def __init__(self, portrait: np.ndarray | None = None) -> None:
        """Compiles the scene.

        Args:
            portrait: RGB picture for the portrait board; None takes scikit-image's astronaut where it is installed.
        """
        self._model = build_spec(_astronaut() if portrait is None else portrait).compile()
        self._data = mujoco.MjData(self._model)
        self._small = mujoco.Renderer(self._model, HEIGHT, WIDTH)
        self._large: mujoco.Renderer | None = None
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = 0
        self._option.geomgroup[SHOWN_GROUP] = 1
        self._randomiser = Randomiser(self._model, self._data)
        self._instances = [
            (self._model.geom(f"{name}_{index}").id, class_id)
            for class_id, name in enumerate(CLASS_NAMES)
            for index in range(len(INSTANCE_SCALES))
        ]

    def close(self) -> None:
        """Frees the renderers; must happen before the interpreter shuts down."""
        self._small.close()
        if self._large is not None:
            self._large.close()

    def __enter__(self) -> TabletopRenderer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def render(self, seed: int) -> LabelledPicture:
        """The scene of this seed as a 320 x 240 picture with its labels."""
        rng = np.random.default_rng(seed)
        look = self._randomiser.apply(rng)
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        renderer = self._small
        if look.high_resolution:
            if self._large is None:
                self._large = mujoco.Renderer(self._model, 2 * HEIGHT, 2 * WIDTH)
            renderer = self._large
        for name in look.changed_textures:
            context = renderer._mjr_context
            mujoco.mjr_uploadTexture(self._model, context, self._model.texture(name).id)
        renderer.update_scene(self._data, "eye", self._option)
        flags = renderer.scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SHADOW] = look.shadows
        flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        flags[mujoco.mjtRndFlag.mjRND_HAZE] = look.haze
        image = renderer.render()
        if look.high_resolution:
            image = image.reshape(HEIGHT, 2, WIDTH, 2, 3).mean((1, 3)).astype(np.uint8)
        boxes, classes = self._labels()
        return LabelledPicture(photograph(image, look.exposure, rng), boxes, classes)

    def _labels(self) -> tuple[np.ndarray, np.ndarray]:
        """Boxes of the visible part of each object, from MuJoCo's segmentation."""
        self._small.update_scene(self._data, "eye", self._option)
        self._small.enable_segmentation_rendering()
        segmentation = self._small.render()
        self._small.disable_segmentation_rendering()
        is_geom = segmentation[..., 1] == int(mujoco.mjtObj.mjOBJ_GEOM)
        ids = np.where(is_geom, segmentation[..., 0], -1)
        counts = np.bincount(ids[ids >= 0].ravel(), minlength=self._model.ngeom)
        boxes, classes = [], []
        for geom, class_id in self._instances:
            if counts[geom] < MIN_VISIBLE_PIXELS:
                continue
            if counts[geom] < MIN_VISIBLE_SHARE * self._projected_area(geom):
                continue
            rows, columns = np.nonzero(ids == geom)
            boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
            classes.append(class_id)
        return np.array(boxes, np.float32).reshape(-1, 4), np.array(classes, np.int64)

    def _projected_area(self, geom: int) -> float:
        """Area in pixels of the bounding box that the whole object would have, were nothing in front of it."""
        points = self._randomiser.vertices(geom) @ self._data.geom_xmat[geom].reshape(3, 3).T
        points = points + self._data.geom_xpos[geom]
        seen = (points - self._data.cam_xpos[0]) @ self._data.cam_xmat[0].reshape(3, 3)
        depth = np.maximum(-seen[:, 2], 0.02)
        focal = 0.5 * HEIGHT / np.tan(0.5 * np.radians(self._model.cam_fovy[0]))
        spread = np.ptp(seen[:, :2] / depth[:, None] * focal, axis=0)
        return float(spread[0] * spread[1])


def photograph(image: np.ndarray, exposure: float, rng: Generator) -> np.ndarray:
    """Adds what a camera adds: exposure and white balance, a little blur, sensor noise."""
    balance: np.ndarray = exposure * rng.normal(1.0, 0.03, 3)
    picture = image.astype(np.float32) * balance.astype(np.float32)
    if rng.random() < 0.25:
        picture = 0.25 * np.roll(picture, 1, 1) + 0.5 * picture + 0.25 * np.roll(picture, -1, 1)
        picture = 0.25 * np.roll(picture, 1, 0) + 0.5 * picture + 0.25 * np.roll(picture, -1, 0)
    if rng.random() < 0.5:
        picture += rng.normal(0.0, rng.uniform(1.0, 8.0), picture.shape).astype(np.float32)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _astronaut() -> np.ndarray | None:
    """scikit-image's portrait, read without importing the library; None where it is not installed."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        return None
    with Image.open(Path(spec.origin).parent / "data" / "astronaut.png") as portrait:
        return np.asarray(portrait.convert("RGB"), np.uint8)[0:220, 120:330]
