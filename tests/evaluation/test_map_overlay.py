"""The outline of a box is that of PIL's filters of a square's greatest and least value."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from care_tf.evaluation import map_overlay


@pytest.mark.parametrize("shape", [(40, 61), (12, 9), (1, 5)])
def test_a_mask_grows_and_shrinks_as_in_pil_s_filters(shape):
    random = np.random.default_rng(0)
    mask = random.random(shape) < 0.9
    mask[:, : shape[1] // 3] = True  # at the edge
    frame = np.pad(mask, 1).astype(np.uint8) * 255
    for kind, combine in ((ImageFilter.MaxFilter, np.logical_or), (ImageFilter.MinFilter, np.logical_and)):
        for radius in (1, 2, 4):
            expected = np.asarray(Image.fromarray(frame).filter(kind(2 * radius + 1)))[1:-1, 1:-1] > 0
            np.testing.assert_array_equal(map_overlay._in_squares(mask, radius, combine), expected)


def test_a_box_has_a_white_outline_with_a_dark_rim_and_is_closed_at_the_edge():
    mask = np.zeros((30, 40), bool)
    mask[5:, 10:30] = True
    drawn = map_overlay.outlined(np.full((30, 40, 3), 90, np.uint8), mask)[..., 0]
    assert drawn[20, 6:20].tolist() == [90, 90, 20, 20, 255, 255, 255, 255, 90, 90, 90, 90, 90, 90]
    assert drawn[:, 20].tolist() == [90] * 3 + [20] * 2 + [255] * 4 + [90] * 17 + [255] * 4
