"""Fits an image into a detector's input and takes boxes back: numpy only, no cv2."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

PADDING = 114
"""Grey level around the image, the one that ultralytics trains with."""

MAX_SIDE = 8192


@dataclass(frozen=True)
class Fit:
    """How an image lies in the input: `input = image * scale + (left, top)` [pixel]."""

    scale: float
    left: int
    top: int
    width: int
    height: int


def check_image(image: object) -> NDArray[np.uint8]:
    """The image itself when it is an H x W x 3 uint8 RGB array.

    Raises:
        ValueError: anything else; the text says what came instead.
    """
    if not isinstance(image, np.ndarray):
        raise ValueError(f"the image must be a numpy array (H x W x 3, uint8, RGB), not {type(image).__name__}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        shape = " x ".join(map(str, image.shape)) or "scalar"
        raise ValueError(f"the image must be H x W x 3 uint8 RGB, not {shape} {image.dtype}")
    if not (0 < image.shape[0] <= MAX_SIDE and 0 < image.shape[1] <= MAX_SIDE):
        raise ValueError(f"the image's sides must be 1 to {MAX_SIDE} pixels, not {image.shape[1]} x {image.shape[0]}")
    return image


def fit(image_size: tuple[int, int], input_size: tuple[int, int]) -> Fit:
    """Largest centred placement of an image in the input that keeps its proportions; sizes are (height, width)."""
    scale = min(input_size[0] / image_size[0], input_size[1] / image_size[1])
    height = max(1, min(input_size[0], round(image_size[0] * scale)))
    width = max(1, min(input_size[1], round(image_size[1] * scale)))
    return Fit(scale, (input_size[1] - width) // 2, (input_size[0] - height) // 2, width, height)


def letterbox(image: NDArray[np.uint8], out: NDArray[np.float32]) -> Fit:
    """Writes an image into a detector's input, scaled to 0..1 with grey around it.

    Args:
        image: H x W x 3 uint8 RGB.
        out: 3 x height x width float32, overwritten.

    Returns:
        where the image lies in `out`.
    """
    placed = fit((image.shape[0], image.shape[1]), (out.shape[1], out.shape[2]))
    out.fill(PADDING / 255.0)
    area = out[:, placed.top : placed.top + placed.height, placed.left : placed.left + placed.width]
    np.multiply(resize(image, placed.height, placed.width).transpose(2, 0, 1), np.float32(1.0 / 255.0), out=area)
    return placed


def resize(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8 | np.float32]:
    """An image at another size: whole blocks are averaged first, then bilinear.

    Returns:
        height x width x 3, float32 in 0..255, or the image itself where its size is right already.
    """
    if image.shape[:2] == (height, width):
        return image
    block = max(1, min(image.shape[0] // height, image.shape[1] // width))
    source: NDArray[np.uint8 | np.float32] = image
    if block > 1:
        source = _block_means(image, block)
        if source.shape[:2] == (height, width):
            return source
    top, bottom, down = _taps(source.shape[0], height)
    left, right, along = _taps(source.shape[1], width)
    rows_between = source[top] * (1.0 - down)[:, None, None] + source[bottom] * down[:, None, None]
    return np.asarray(
        rows_between[:, left] * (1.0 - along)[None, :, None] + rows_between[:, right] * along[None, :, None],
        dtype=np.float32,
    )


def _block_means(image: NDArray[np.uint8], block: int) -> NDArray[np.float32]:
    """Mean of each block x block square of pixels; what does not fill a block at the right and bottom is left out."""
    rows, columns = image.shape[0] // block, image.shape[1] // block
    total = np.zeros((rows, columns, 3), np.uint16 if block <= 16 else np.uint32)  # 16 * 16 * 255 still fits 16 bits
    for row in range(block):  # adding strided views is several times faster than mean() over a reshaped image
        for column in range(block):
            total += image[row : rows * block : block, column : columns * block : block]
    return total * np.float32(1.0 / block**2)


@lru_cache(maxsize=8)
def _taps(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """The two neighbours of each target pixel's centre along one axis, and the second one's weight."""
    centre = np.clip((np.arange(target) + 0.5) * (source / target) - 0.5, 0.0, source - 1.0)
    first = np.floor(centre).astype(np.intp)
    return first, np.minimum(first + 1, source - 1), (centre - first).astype(np.float32)
