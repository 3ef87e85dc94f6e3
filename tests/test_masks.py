import numpy as np
import pytest
import tensorflow as tf

from care_tf.masks import interpolation_matrix, project_mask, resize_map, squeeze_mask


@pytest.mark.parametrize(("output_size", "input_size"), [(224, 7), (128, 7), (10, 3), (7, 7), (5, 1), (3, 8)])
def test_interpolation_matrix_resizes_a_line_as_tensorflow_does(output_size, input_size):
    line = np.random.default_rng(0).random((1, input_size, 1, 1), np.float32)
    expected = tf.image.resize(line, (output_size, 1), method="bilinear", antialias=False)[0, :, 0, 0]
    np.testing.assert_allclose(
        interpolation_matrix(output_size, input_size) @ line[0, :, 0], expected[:, None], atol=1e-6
    )


@pytest.mark.parametrize("map_size", [(7, 7), (4, 9), (1, 1)])
def test_projected_mask_has_the_inner_products_of_the_resized_map(map_size):
    rng = np.random.default_rng(1)
    maps = rng.random((3, *map_size), np.float32)
    mask = (rng.random((3, 40, 56)) > 0.7).astype(np.float32)
    resized = tf.image.resize(maps[..., None], (40, 56), method="bilinear")[..., 0].numpy()
    expected = [sum(mask[b, i, j] * resized[b, i, j] for i in range(40) for j in range(56)) for b in range(3)]
    projected = project_mask(mask[..., None], map_size)
    np.testing.assert_allclose(tf.reduce_sum(projected * maps, axis=(1, 2)), expected, rtol=1e-5)


def test_projection_keeps_the_sum_of_the_mask():
    mask = np.zeros((1, 33, 20), np.float32)
    mask[0, 3:17, 5:6] = 1
    np.testing.assert_allclose(tf.reduce_sum(project_mask(mask, (5, 4))), mask.sum(), rtol=1e-6)


def test_projection_works_with_unknown_sizes():
    mask = np.random.default_rng(2).random((2, 12, 10, 1)).astype(np.float32)
    unknown = tf.function(lambda m: project_mask(m, (3, 5)), input_signature=[tf.TensorSpec((None, None, None, 1))])
    np.testing.assert_allclose(unknown(mask), project_mask(mask, (3, 5)), atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 4), (2, 4, 4, 3), (2, 4, 4, 1, 1)])
def test_a_mask_of_another_rank_is_refused(shape):
    with pytest.raises(ValueError, match=r"must have shape \(batch, height, width\).*Received shape"):
        squeeze_mask(np.zeros(shape))


@pytest.mark.parametrize("sizes", [(224, 7), (128, 8), (450, 14), (5, 5), (3, 8), (7, 1)])
def test_known_and_unknown_sizes_give_the_same_matrix_to_the_last_bit(sizes):
    known = interpolation_matrix(*sizes)
    unknown = interpolation_matrix(*map(tf.constant, sizes))
    np.testing.assert_array_equal(known, unknown)


def test_resizing_is_tensorflow_s_and_the_projection_s_other_side():
    rng = np.random.default_rng(0)
    values, mask = rng.random((2, 4, 5)).astype(np.float32), rng.random((2, 9, 12)).astype(np.float32)
    expected = tf.image.resize(values[..., None], (9, 12), method="bilinear")[..., 0]
    found = resize_map(tf.constant(values), (9, 12))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    length = tf.TensorSpec([], tf.int32)
    signature = [tf.TensorSpec([None, None, None]), length, length]
    traced = tf.function(lambda v, h, w: resize_map(v, (h, w)), input_signature=signature, autograph=False)
    np.testing.assert_allclose(traced(values, 9, 12), expected, rtol=1e-5)
    inner = np.einsum("bhw,bhw->b", mask, found)
    np.testing.assert_allclose(np.einsum("bhw,bhw->b", project_mask(mask, (4, 5)), values), inner, rtol=1e-5)
