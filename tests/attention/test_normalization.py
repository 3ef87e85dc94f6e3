import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from care_tf.attention import normalize_map
from care_tf.errors import InputError


def test_normalization_equals_the_paper():
    maps = np.random.default_rng(0).normal(size=(3, 4, 5))
    expected = [(m - m.min()) / (m - m.min()).max() for m in maps]
    np.testing.assert_allclose(normalize_map(tf.constant(maps)), expected, atol=1e-14)


def test_the_positive_part_is_divided_by_its_largest_value():
    maps = np.random.default_rng(0).normal(size=(3, 4, 5))
    expected = [np.maximum(m, 0) / m.max() for m in maps]
    np.testing.assert_allclose(normalize_map(tf.constant(maps), "positive"), expected, atol=1e-14)


@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_a_map_without_a_positive_part_is_zero_with_zero_gradient(noise):
    negative = np.full((1, 4, 4), -5.0, np.float32)
    negative[0, 0, 0] = 5 * noise  # rounding of a sum that should be 0
    negative = tf.constant(negative)
    with tf.GradientTape() as tape:
        tape.watch(negative)
        total = tf.reduce_sum(normalize_map(negative, "positive"))
    assert total == 0.0 and not tape.gradient(total, negative).numpy().any()


def test_an_even_positive_map_is_one_everywhere():
    np.testing.assert_array_equal(normalize_map(tf.fill((1, 3, 3), 2.5), "positive"), np.ones((1, 3, 3)))


def test_another_normalization_is_refused():
    with pytest.raises(InputError, match="min_max or positive. Received normalization='softmax'"):
        normalize_map(tf.ones((1, 2, 2)), "softmax")


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-10, 10), seed=st.integers(0, 99))
def test_scale_and_shift_do_not_change_the_normalized_map(scale, shift, seed):
    maps = np.random.default_rng(seed).normal(size=(1, 3, 3))
    moved = normalize_map(tf.constant(scale * maps + shift))
    np.testing.assert_allclose(moved, normalize_map(tf.constant(maps)), atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 3.0, -1e6, 1e-20])
@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_a_flat_map_is_zero_with_zero_gradient(value, noise):
    flat = np.full((1, 4, 4), value, np.float32) * (1 + noise * np.random.default_rng(0).random((1, 4, 4), np.float32))
    flat = tf.constant(flat)
    with tf.GradientTape() as tape:
        tape.watch(flat)
        normalized = normalize_map(flat)
        total = tf.reduce_sum(normalized * tf.reshape(tf.range(16.0), (1, 4, 4)))
    assert not normalized.numpy().any()
    assert not tape.gradient(total, flat).numpy().any()


def test_a_flat_map_does_not_disturb_its_neighbors():
    maps = np.random.default_rng(0).normal(size=(2, 3, 3)).astype(np.float32)
    alone = normalize_map(tf.constant(maps[1:]))
    maps[0] = 7.0
    np.testing.assert_array_equal(normalize_map(tf.constant(maps))[1:], alone)
