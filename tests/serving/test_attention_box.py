"""The box in the graph against the one of `boxes_from_map`, whose components are OpenCV's."""

import numpy as np
import pytest
import tensorflow as tf

from care_tf.boxes import boxes_from_map
from care_tf.serving._attention_box import attention_box


@pytest.fixture(scope="module")
def box_of():
    """One graph for all maps."""
    return tf.function(attention_box, input_signature=[tf.TensorSpec((None, 17, 23), tf.float32)], autograph=False)


def a_map(*regions, size=(17, 23), value=1.0):
    values = np.zeros(size, np.float32)
    for rows, columns in regions:
        values[rows, columns] = value
    return values


def spiral():
    """One 8-connected path of one pixel, the longest way for a number to go."""
    values = np.zeros((17, 23), np.float32)
    values[::2] = 1
    values[1::4, -1] = 1
    values[3::4, 0] = 1
    return values


DIAGONAL = np.eye(17, 23, dtype=np.float32)
SPECKS = a_map(*((slice(i, i + 1), slice(j, j + 2)) for i in range(0, 17, 3) for j in range(0, 21, 4)))
MAPS = {
    "flat": a_map(),
    "all": np.ones((17, 23), np.float32),
    "flat below the threshold": np.full((17, 23), 0.4999, np.float32),
    "at the threshold": np.full((17, 23), 0.5, np.float32),
    "one pixel": a_map((8, 11)),
    "three pixels": a_map((8, slice(11, 14))),
    "four pixels": a_map((slice(8, 10), slice(11, 13))),  # 1 % of 391 is 3.91
    "several": a_map((slice(0, 5), slice(0, 4)), (slice(12, 17), slice(19, 23)), (8, 11)),
    "only small ones": SPECKS,
    "a small one far from a large one": a_map((slice(2, 8), slice(3, 9)), (16, 22)),
    "joined by a corner": a_map((slice(0, 2), slice(0, 2)), (slice(2, 4), slice(2, 4))),
    "a diagonal": DIAGONAL,
    "a path": spiral(),
}


@pytest.mark.parametrize("name", MAPS)
def test_maps_with_names(box_of, name):
    expected = boxes_from_map(MAPS[name])
    found = box_of(MAPS[name][np.newaxis]).numpy()
    np.testing.assert_array_equal(found, expected if len(expected) else [[0, 0, 0, 0]])


def test_random_maps_in_one_batch(box_of):
    rng = np.random.default_rng(3)
    sparse = rng.uniform(0, 1, (60, 17, 23)) ** rng.uniform(0.3, 90, (60, 1, 1))
    smooth = np.array(tf.image.resize(rng.uniform(0, 1, (60, 4, 5, 1)), (17, 23)))[..., 0] ** 2
    maps = np.concatenate([sparse, smooth]).astype(np.float32)
    expected = [boxes_from_map(values) for values in maps]
    num_empty = sum(not len(boxes) for boxes in expected)
    assert 5 < num_empty < 60
    np.testing.assert_array_equal(box_of(maps), [boxes[0] if len(boxes) else np.zeros(4) for boxes in expected])


def test_other_settings_and_no_map_at_all():
    maps = np.random.default_rng(4).uniform(0, 1, (20, 9, 9)).astype(np.float32)
    maps[0, 3, 3] = np.float32(0.7)  # less than 0.7
    for threshold, fraction in ((0.7, 0.0), (0.8, 0.03), (0.0, 0.01)):
        expected = [boxes_from_map(values, threshold, fraction) for values in maps]
        found = attention_box(tf.constant(maps), threshold, fraction)
        np.testing.assert_array_equal(found, [boxes[0] if len(boxes) else np.zeros(4) for boxes in expected])
    assert attention_box(tf.zeros((0, 9, 9))).shape == (0, 4)
