from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from bbia_ros.ros.images import ImageError, from_rgb, to_rgb

PICTURE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def image(encoding: str, pixels: np.ndarray, step: int | None = None) -> Image:
    row = pixels.reshape(pixels.shape[0], -1)
    step = step or row.shape[1]
    padded = np.zeros((row.shape[0], step), dtype=np.uint8)
    padded[:, : row.shape[1]] = row
    return Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, step=step, data=padded.tobytes())


def test_rgb_round_trip_keeps_header_and_pixels() -> None:
    message = from_rgb(PICTURE, Header(frame_id="camera_optical"))
    assert message.header.frame_id == "camera_optical"
    assert np.array_equal(to_rgb(message), PICTURE)


@pytest.mark.parametrize("step", [None, 32])
def test_every_known_encoding_gives_rgb(step: int | None) -> None:
    alpha = np.concatenate([PICTURE, np.full((4, 6, 1), 9, np.uint8)], axis=2)
    assert np.array_equal(to_rgb(image("bgr8", PICTURE[:, :, ::-1], step)), PICTURE)
    assert np.array_equal(to_rgb(image("rgba8", alpha, step)), PICTURE)
    assert np.array_equal(to_rgb(image("bgra8", alpha[:, :, [2, 1, 0, 3]], step)), PICTURE)
    assert np.array_equal(to_rgb(image("mono8", PICTURE[:, :, 0], step)), np.repeat(PICTURE[:, :, :1], 3, axis=2))


def test_wrong_sizes_are_refused_with_the_numbers() -> None:
    short = image("rgb8", PICTURE)
    short.data = short.data[:-1]
    with pytest.raises(ImageError, match="71 bytes, not 72"):
        to_rgb(short)
    with pytest.raises(ImageError, match="step 5 is shorter"):
        to_rgb(Image(height=1, width=2, encoding="rgb8", step=5, data=bytes(5)))
    with pytest.raises(ImageError, match="0x0 pixels is empty"):
        to_rgb(Image(encoding="rgb8"))


def test_an_unknown_encoding_is_named() -> None:
    with pytest.raises(ImageError, match="bayer_nonsense"):
        to_rgb(image("bayer_nonsense", PICTURE))


def test_only_rgb_pictures_are_sent() -> None:
    with pytest.raises(ImageError, match="float64"):
        from_rgb(np.zeros((2, 2, 3)), Header())
