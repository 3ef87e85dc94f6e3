import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from care_tf.errors import InputError
from care_tf.losses._pairwise import (
    embedding_vectors,
    mean_over_anchors,
    mean_where,
    pair_distances,
    pair_masks,
    row_distances,
)
from care_tf.losses._pairwise import masked_log_sum_exp as log_sum_exp


def gradient(function, value):
    value = tf.convert_to_tensor(value)
    with tf.GradientTape() as tape:
        tape.watch(value)
        result = function(value)
    return tape.gradient(result, value).numpy()


# oracle


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 6), st.integers(1, 5))
def test_distances_equal_slow_loops(seed, n, m, d):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    expected = np.array([[sum((a[i, k] - b[j, k]) ** 2 for k in range(d)) ** 0.5 for j in range(m)] for i in range(n)])
    a, b = tf.constant(a), tf.constant(b)
    np.testing.assert_allclose(pair_distances(a, b), expected, rtol=1e-9)
    np.testing.assert_allclose(pair_distances(a, b, squared=True), expected**2, rtol=1e-9)
    rows = min(n, m)
    np.testing.assert_allclose(row_distances(a[:rows], b[:rows]), np.diag(expected), rtol=1e-9)


def test_masks_equal_slow_loops():
    labels = [2, 0, 2, -1, 0, 0]
    positive, negative = pair_masks(labels)
    for i in range(6):
        for j in range(6):
            assert positive[i, j].numpy() == (labels[i] == labels[j] and i != j)
            assert negative[i, j].numpy() == (labels[i] != labels[j])


def test_log_sum_exp_equals_a_slow_loop_and_passes_over_what_is_masked():
    logits, mask = np.array([[1.0, 2.0, 900.0], [-700.0, -701.0, 0.0]]), np.array([[1, 1, 0], [1, 1, 0]], bool)
    expected = [np.log(np.exp(1) + np.exp(2)), -700 + np.log(1 + np.exp(-1))]
    np.testing.assert_allclose(log_sum_exp(tf.constant(logits), tf.constant(mask)), expected, rtol=1e-12)


def test_class_balanced_mean_equals_a_slow_loop():
    labels = [0, 0, 0, 1, 1, 2]
    total, count = np.array([1.0, 2.0, 0.0, 5.0, 6.0, 0.0]), np.array([1.0, 2.0, 0.0, 1.0, 1.0, 0.0])
    is_valid = np.array([1, 1, 1, 1, 1, 0], bool)  # the class of one has no pairs, and no vote
    means = (tf.constant(total), tf.constant(count), tf.constant(is_valid), labels)
    np.testing.assert_allclose(mean_over_anchors(*means, class_balanced=False), 14 / 5)
    np.testing.assert_allclose(mean_over_anchors(*means, class_balanced=True), ((1 + 2) / 3 + (5 + 6) / 2) / 2)


# identities


def test_labels_may_be_written_in_any_way():
    labels = np.array([1, 0, 2, 1])
    expected = pair_masks(labels)
    for written in (labels[:, np.newaxis], labels.astype(np.float32), np.eye(3)[labels], labels + 2**40):
        np.testing.assert_array_equal(pair_masks(written), expected)


def test_normalized_vectors_have_length_one():
    vectors = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32) * np.float32(
        [[1e-15], [1], [5], [1], [9]]
    )
    np.testing.assert_allclose(np.linalg.norm(embedding_vectors(vectors, normalize=True), axis=1), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(embedding_vectors(vectors), vectors)


# edges


def test_near_rows_keep_their_distance_in_float32():
    a = np.full((1, 512), 3.0, np.float32)
    b = a.copy()
    b[0, 0] += 2**-10  # the squared lengths, 4608, are known to 2**-11 only
    np.testing.assert_allclose(pair_distances(tf.constant(a), tf.constant(b)), [[2**-10]], rtol=1e-4)


def test_equal_rows_are_at_distance_zero_with_gradient_zero():
    rows = np.tile(np.random.default_rng(0).normal(size=(1, 37)), (9, 1)).astype(np.float32)
    assert not pair_distances(tf.constant(rows), tf.constant(rows)).numpy().any()
    assert not gradient(lambda x: pair_distances(x, x), rows).any()
    assert not gradient(lambda x: pair_distances(embedding_vectors(x, normalize=True), x[:1]), rows * 0).any()
    assert not gradient(lambda x: row_distances(x, tf.constant(rows)), rows).any()


def test_a_zero_vector_stays_zero_and_still():
    zeros = np.zeros((2, 3), np.float32)
    assert not embedding_vectors(zeros, normalize=True).numpy().any()
    assert not gradient(lambda x: embedding_vectors(x, normalize=True), zeros).any()


def test_nothing_has_mean_and_log_sum_zero_without_a_gradient():
    values, nothing = tf.constant([[1.0, np.inf]]), tf.constant([[False, False]])
    for function in (lambda x: mean_where(nothing, x), lambda x: log_sum_exp(x, nothing)):
        assert not function(values).numpy().any()
        assert not gradient(function, values).any()


def test_dtypes_are_at_least_float32():
    assert embedding_vectors(tf.ones((2, 2), tf.float16), normalize=True).dtype == tf.float32
    assert embedding_vectors(tf.ones((2, 2), tf.float64), normalize=True).dtype == tf.float64


# errors


def test_unpooled_embeddings_are_refused():
    with pytest.raises(InputError, match=r"embeddings must have shape \(batch, dimensions\).*Received shape .*4, 4, 3"):
        embedding_vectors(np.zeros((2, 4, 4, 3), np.float32))
