from __future__ import annotations

import numpy as np
import pytest

from tools.train_detector.scene import TabletopRenderer, held_out_seed, training_seed


@pytest.mark.heavy
def test_a_seed_fixes_the_scene_whatever_was_rendered_before() -> None:
    with TabletopRenderer() as renderer:
        first = [renderer.render(training_seed(index)) for index in range(6)]
        again = [renderer.render(training_seed(index)) for index in reversed(range(6))][::-1]
        other = renderer.render(held_out_seed(0))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.image, two.image)
        np.testing.assert_array_equal(one.boxes, two.boxes)
    assert sum(len(picture.boxes) for picture in first) > 0
    assert not np.array_equal(first[0].image, other.image)
    assert not {training_seed(i) for i in range(9000)} & {held_out_seed(i) for i in range(9000)}


@pytest.mark.heavy
def test_labels_sit_on_the_objects() -> None:
    """Apples are red, ducks yellow: the mean colour inside the boxes tells a wrong or shifted label."""
    colours: dict[int, list[np.ndarray]] = {0: [], 1: [], 2: []}
    with TabletopRenderer() as renderer:
        for index in range(30):
            picture = renderer.render(held_out_seed(index))
            for (x1, y1, x2, y2), class_id in zip(picture.boxes.astype(int), picture.classes, strict=True):
                assert 0 <= x1 < x2 <= 320
                assert 0 <= y1 < y2 <= 240
                inner = picture.image[(3 * y1 + y2) // 4 : (y1 + 3 * y2) // 4 + 1, (3 * x1 + x2) // 4 :][
                    :, : (x2 - x1) // 2 + 1
                ]
                colours[int(class_id)].append(inner.reshape(-1, 3).mean(0) + 1.0)
    green_to_red = {key: float(np.median([c[1] / c[0] for c in values])) for key, values in colours.items()}
    blue_to_green = {key: float(np.median([c[2] / c[1] for c in values])) for key, values in colours.items()}
    assert green_to_red[0] < green_to_red[2]
    assert green_to_red[0] < green_to_red[1]
    assert blue_to_green[2] < blue_to_green[1]
