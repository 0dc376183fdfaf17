"""Draws what was seen into the picture that it was seen in, for people to look at."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bbia_ros.perception.scene import SeenFace, SeenObject

Rgb = NDArray[np.uint8]
Colour = tuple[int, int, int]

PALETTE: tuple[Colour, ...] = (
    (230, 80, 60),
    (70, 160, 230),
    (90, 190, 90),
    (240, 180, 40),
    (180, 110, 220),
    (70, 200, 200),
)
"""Colours of boxes; a track keeps its own."""

LANDMARK: Colour = (255, 255, 255)
LANDMARK_STEP = 4
"""Every fourth of a face's 478 landmarks is drawn: a dot each still shows the face behind them."""


def annotate(image: Rgb, objects: Sequence[SeenObject] = (), faces: Sequence[SeenFace] = ()) -> Rgb:
    """A copy of a picture with boxes, identities, labels and landmarks.

    Args:
        image: height x width x 3, uint8, RGB; left as it is.
        objects: what to draw as boxes with label, identity, score and distance.
        faces: what to draw as boxes with landmarks and identity; "looks" where the face looks at the robot.
    """
    picture = np.array(image, dtype=np.uint8, order="C")
    texts: list[tuple[float, float, str, Colour]] = []
    for item in objects:
        found = item.detection
        colour = PALETTE[item.track_id % len(PALETTE)]
        draw_box(picture, (found.x, found.y, found.width, found.height), colour)
        texts.append((found.x, found.y, _caption(f"{found.label} {item.track_id}", item.distance), colour))
    for face in faces:
        colour = PALETTE[face.track_id % len(PALETTE)]
        draw_dots(picture, face.reading.landmarks[::LANDMARK_STEP, :2], LANDMARK)
        draw_box(picture, face.reading.box, colour)
        name = f"face {face.track_id}" + (" looks" if face.looking_at_robot else "")
        texts.append((face.reading.box[0], face.reading.box[1], _caption(name, face.distance), colour))
    return _write(picture, texts) if texts else picture


def draw_box(picture: Rgb, box: Sequence[float], colour: Colour) -> None:
    """Draw the outline of x, y, width, height [pixel] into a picture, clipped to it."""
    rows, columns = picture.shape[:2]
    left, top = math.floor(box[0]), math.floor(box[1])
    right, bottom = math.ceil(box[0] + box[2]) - 1, math.ceil(box[1] + box[3]) - 1
    across = slice(max(0, left), max(0, right + 1))
    down = slice(max(0, top), max(0, bottom + 1))
    for row in (top, bottom):
        if 0 <= row < rows:
            picture[row, across] = colour
    for column in (left, right):
        if 0 <= column < columns:
            picture[down, column] = colour


def draw_dots(picture: Rgb, points: NDArray[np.float32], colour: Colour) -> None:
    """Colour the pixels at N x 2 points (x, y), those outside the picture left out."""
    rows, columns = picture.shape[:2]
    pixels = np.floor(points[np.isfinite(points).all(axis=1)]).astype(np.int64)
    inside = (pixels[:, 0] >= 0) & (pixels[:, 0] < columns) & (pixels[:, 1] >= 0) & (pixels[:, 1] < rows)
    picture[pixels[inside, 1], pixels[inside, 0]] = colour


def _caption(name: str, distance: float) -> str:
    return name if math.isnan(distance) else f"{name} {distance:.1f} m"


def _write(picture: Rgb, texts: Sequence[tuple[float, float, str, Colour]]) -> Rgb:
    """Write captions above their boxes, on a ground of their colour; below the upper border where there is no room."""
    from PIL import Image, ImageDraw, ImageFont

    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=max(9.0, picture.shape[0] / 24.0))
    for x, y, text, colour in texts:
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        width, height = right - left + 2, bottom - top + 2
        x0 = min(max(0.0, x), max(0.0, picture.shape[1] - width))
        y0 = max(0.0, y - height)
        draw.rectangle((x0, y0, x0 + width, y0 + height), fill=colour)
        draw.text((x0 + 1 - left, y0 + 1 - top), text, font=font, fill=(0, 0, 0))
    return np.asarray(canvas, dtype=np.uint8)
