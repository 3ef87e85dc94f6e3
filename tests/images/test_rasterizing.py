import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from care_tf.box_geometry import union_mask
from care_tf.images.rasterizing import rasterize_boxes


def _slow_mask(boxes, scale_x, scale_y, height, width):
    """Pixel by pixel, from the rule's words."""
    mask = np.zeros((height, width), np.float32)
    for x0, y0, x1, y1 in boxes:
        x0, x1 = np.float32(x0) * np.float32(scale_x), np.float32(x1) * np.float32(scale_x)
        y0, y1 = np.float32(y0) * np.float32(scale_y), np.float32(y1) * np.float32(scale_y)
        covered = 0
        for row in range(height):
            for column in range(width):
                if x0 <= column + 0.5 < x1 and y0 <= row + 0.5 < y1:
                    mask[row, column] = 1
                    covered += 1
        if not covered:
            row = min(int(np.floor((y0 + y1) / 2)), height - 1)
            column = min(int(np.floor((x0 + x1) / 2)), width - 1)
            mask[row, column] = 1
    return mask


def _rasterize(boxes, scale_x, scale_y, height, width):
    boxes = tf.constant(np.asarray(boxes, np.float32).reshape(-1, 4))
    return rasterize_boxes(boxes, tf.constant([scale_x, scale_y], tf.float32), height, width).numpy()


_EDGES = st.lists(st.integers(0, 80).map(lambda quarter: quarter / 4), min_size=2, max_size=2, unique=True).map(sorted)
_BOXES = st.lists(st.tuples(_EDGES, _EDGES).map(lambda xy: (xy[0][0], xy[1][0], xy[0][1], xy[1][1])), max_size=4)


@settings(max_examples=40, deadline=None)
@given(_BOXES, st.sampled_from([0.05, 0.3, 0.5, 1.0]), st.sampled_from([0.1, 0.37, 0.6]))
def test_rasterize_boxes_agrees_with_the_rule_pixel_by_pixel(boxes, scale_x, scale_y):
    expected = _slow_mask(boxes, scale_x, scale_y, 12, 20)
    np.testing.assert_array_equal(_rasterize(boxes, scale_x, scale_y, 12, 20)[..., 0], expected)


@settings(max_examples=20, deadline=None)
@given(_BOXES)
def test_at_scale_one_it_is_the_rule_of_union_mask(boxes):
    np.testing.assert_array_equal(_rasterize(boxes, 1.0, 1.0, 15, 20)[..., 0] > 0, union_mask(boxes, 15, 20))


def test_no_boxes_give_an_empty_mask():
    mask = _rasterize([], 1.0, 1.0, 3, 4)
    assert mask.shape == (3, 4, 1)
    assert not mask.any()


def test_a_box_without_a_pixel_center_sets_one_pixel_even_at_the_far_corner():
    assert _rasterize([[99.9, 99.9, 100, 100]], 0.04, 0.04, 4, 4)[3, 3, 0] == 1
    assert _rasterize([[0, 0, 100, 1]], 0.04, 0.04, 4, 4).sum() == 1  # long and thin: one pixel too


def test_rasterize_boxes_takes_another_number_of_boxes_per_image_in_a_data_set():
    def boxes_of(count):
        return rasterize_boxes(tf.tile([[0.0, 0.0, 2.0, 2.0]], [count, 1]), tf.constant([1.0, 1.0]), 4, 4)

    masks = tf.data.Dataset.range(3).map(boxes_of)
    assert masks.element_spec.shape == (4, 4, 1)
    assert [int(mask.numpy().sum()) for mask in masks] == [0, 4, 4]
