from __future__ import annotations

import numpy as np
import pytest

from bbia_ros.perception.letterbox import PADDING, check_image, fit, letterbox, resize


def test_image_of_the_right_width_is_padded_above_and_below_with_its_pixels_untouched() -> None:
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    out = np.empty((3, 320, 320), np.float32)

    placed = letterbox(image, out)

    assert (placed.scale, placed.left, placed.top) == (1.0, 0, 40)
    np.testing.assert_array_equal(np.round(out[:, 40:280] * 255).astype(np.uint8), image.transpose(2, 0, 1))
    np.testing.assert_allclose(out[:, :40], PADDING / 255.0)
    np.testing.assert_allclose(out[:, 280:], PADDING / 255.0)


@pytest.mark.parametrize("size", [(1, 1), (3, 4000), (720, 1280), (333, 77), (8192, 2)])
def test_any_image_size_lies_inside_the_input(size: tuple[int, int]) -> None:
    placed = fit(size, (320, 320))
    assert placed.left >= 0
    assert placed.top >= 0
    assert placed.left + placed.width <= 320
    assert placed.top + placed.height <= 320
    assert max(placed.width, placed.height) == 320
    assert np.isfinite(letterbox(np.zeros((*size, 3), np.uint8), np.empty((3, 320, 320), np.float32)).scale)


def test_halving_averages_blocks() -> None:
    image = np.array([[[0] * 3, [100] * 3], [[100] * 3, [200] * 3]], np.uint8)
    np.testing.assert_allclose(resize(image, 1, 1), [[[100.0] * 3]])


@pytest.mark.parametrize("block", [2, 3, 16, 20])
def test_blocks_of_any_size_are_averaged_without_overflow(block: int) -> None:
    image = np.random.default_rng(block).integers(200, 256, (4 * block, 5 * block, 3), dtype=np.uint8)
    expected = image.reshape(4, block, 5, block, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resize(image, 4, 5), expected, rtol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(70, 90), (300, 400), (33, 41)])
def test_a_ramp_stays_the_same_ramp_at_another_size(height: int, width: int) -> None:
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 150, axis=0).repeat(3, axis=2)
    resized = resize(ramp, height, width)[..., 0]
    expected = np.clip((np.arange(width) + 0.5) * 200 / width - 0.5, 0, 199)
    inner = slice(width // 20, -width // 20)
    np.testing.assert_allclose(resized[height // 2, inner], expected[inner], atol=2.5)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((4, 4), np.uint8), "4 x 4 uint8"),
        (np.zeros((4, 4, 4), np.uint8), "4 x 4 x 4 uint8"),
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((0, 4, 3), np.uint8), "4 x 0"),
        ([[1, 2, 3]], "list"),
    ],
)
def test_another_kind_of_image_is_refused_with_what_it_was(image: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_image(image)
