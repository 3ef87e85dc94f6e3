import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import distance_transform_edt

from care_tf.losses import AttentionLoss, attention_terms
from care_tf.losses._outside_weights import outside_weights

FRAME, MAP = (24, 40), (6, 5)


def _resized_cells():
    """Every cell's share of every pixel of the resized map, by TensorFlow's own resizing: (h,w,H,W)."""
    cells = np.eye(MAP[0] * MAP[1], dtype=np.float32).reshape(-1, *MAP, 1)
    return tf.image.resize(cells, FRAME, method="bilinear").numpy().reshape(*MAP, *FRAME).astype(np.float64)


def _slow_weights(mask):
    """One image, (H,W) -> (h,w), with SciPy's distance transform."""
    shares = _resized_cells()
    outside, weights = (shares * (1 - mask)).sum((2, 3)), np.zeros(MAP)
    share = (shares * mask).sum((2, 3)) / shares.sum((2, 3))
    is_outside = np.ones(MAP, bool)
    for i, j in np.ndindex(*MAP):
        around = share[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        is_outside[i, j] = share[i, j] < max(0.499 * around.max(), 1e-9)
    distances = distance_transform_edt(is_outside, sampling=(FRAME[0] / MAP[0], FRAME[1] / MAP[1]))
    if is_outside.all():
        distances[:] = 0
    for i, j in np.ndindex(*MAP):
        weights[i, j] = outside[i, j] * (1 + (distances[i, j] / distances.max() if distances.any() else 0))
    return weights


@pytest.fixture
def masks():
    """One box, two, of a pixel, of a cell, in a corner, the frame, all but a column, none; a large and a tiny one."""
    masks = np.zeros((9, *FRAME), np.float32)
    masks[0, 4:20, 10:30] = 1
    masks[1, :6, :10] = masks[1, 15:, 30:] = 1
    masks[2, 13, 27] = 1
    masks[3, 8:12, 16:24] = 1
    masks[4, 20:, 33:] = 1
    masks[5] = 1
    masks[6, :, 1:] = 1
    masks[8, 4:20, :16] = masks[8, 5, 36] = 1
    return masks


def test_the_weights_are_those_of_the_slow_oracle(masks):
    np.testing.assert_allclose(outside_weights(masks, MAP), [_slow_weights(mask) for mask in masks], atol=1e-4)


def test_the_weights_grow_from_1_to_2_with_the_distance(masks):
    outside = (_resized_cells() * (1 - masks[0])).sum((2, 3))
    ratio = outside_weights(masks[:1], MAP).numpy()[0] / np.where(outside > 0, outside, np.inf)
    assert ratio[2, 1] == pytest.approx(1)  # the box covers most of it
    assert 1 < ratio[2, 0] < ratio[0, 0] and ratio.max() == pytest.approx(2)


def test_a_tiny_box_beside_a_large_one_is_not_the_farthest_place(masks):
    outside = (_resized_cells() * (1 - masks[8])).sum((2, 3))
    ratio = outside_weights(masks[8:], MAP).numpy()[0] / np.where(outside > 0, outside, np.inf)
    assert ratio[1, 4] == pytest.approx(1)  # the cell of the tiny box, three cells away from the large one
    assert 1.4 < ratio[1, 3] < ratio[5, 3] == pytest.approx(2)


def test_the_outer_term_is_the_weighted_mean_and_the_inner_the_same(masks):
    attention = np.random.default_rng(0).random((9, *MAP)).astype(np.float32)
    inner, outer = attention_terms(attention, masks, 0.3, 1.5, outside="distance")
    weights = np.array([_slow_weights(mask) for mask in masks])
    expected = 1.5 * (weights * attention).sum((1, 2)) / np.maximum(weights.sum((1, 2)), 1e-9)
    expected[7] = 0  # no box, no term
    np.testing.assert_allclose(outer, expected, rtol=1e-5, atol=1e-7)
    assert outer[5] == 0 and outer[7] == 0
    np.testing.assert_array_equal(inner, attention_terms(attention, masks, 0.3, 1.5)[0])


def test_an_even_map_costs_the_same_and_a_far_one_more(masks):
    even = np.full((9, *MAP), 0.4, np.float32)
    uniform, distant = (attention_terms(even, masks, outside=outside)[1] for outside in ("uniform", "distance"))
    np.testing.assert_allclose(uniform, distant, rtol=1e-6)
    near, far = np.zeros((2, 1, *MAP), np.float32)
    near[0, 1, 0] = far[0, 5, 0] = 1  # the box, of one cell, is at 2, 2
    loss = AttentionLoss(outside="distance")
    assert loss(far, masks[3:4]) > loss(near, masks[3:4])


def test_the_gradient_agrees_with_finite_differences_and_is_0_without_a_box(masks):
    attention = tf.constant(np.random.default_rng(1).uniform(0.2, 0.5, (9, *MAP)))
    loss = AttentionLoss(tau=1.0, reduction="masked", outside="distance")
    with tf.GradientTape() as tape:
        tape.watch(attention)
        total = loss(attention, masks)
    slope = tape.gradient(total, attention).numpy()
    for b, i, j in ((0, 0, 0), (1, 3, 2), (2, 5, 4), (3, 2, 2), (5, 1, 1)):
        step = np.zeros(attention.shape)
        step[b, i, j] = 1e-4
        difference = (loss(attention + step, masks) - loss(attention - step, masks)) / 2e-4
        assert slope[b, i, j] == pytest.approx(float(difference), abs=1e-7)
    assert np.isfinite(slope).all() and not slope[7].any()


@pytest.mark.slow
@pytest.mark.both_generations
def test_graph_xla_and_half_precision_give_the_same(masks):
    attention = np.random.default_rng(2).random((9, *MAP)).astype(np.float16)
    loss = AttentionLoss(outside="distance")
    expected = loss(attention.astype(np.float32), masks)
    for jit in (False, True):
        shapes = [tf.TensorSpec((None if not jit else 9, *MAP), tf.float16), tf.TensorSpec((9, *FRAME), tf.float16)]
        compiled = tf.function(loss.__call__, input_signature=shapes, jit_compile=jit)
        np.testing.assert_allclose(compiled(attention, masks.astype(np.float16)), expected, rtol=1e-5)
