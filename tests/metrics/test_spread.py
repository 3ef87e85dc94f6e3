import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from care_tf.metrics import embedding_spread


def slow_spread(x):
    directions = [row / np.sqrt(sum(row**2)) for row in x if any(row != 0)]
    return 1 - sum(np.mean(directions, axis=0) ** 2) if directions else 0.0


# oracle


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 4), st.integers(0, 3))
def test_equals_slow_loops(seed, n, d, num_zero):
    x = np.random.default_rng(seed).normal(size=(n, d)) + 0.5
    x[:num_zero] = 0.0
    np.testing.assert_allclose(embedding_spread(x), slow_spread(x), atol=1e-12)


# identities


def test_lengths_and_order_do_not_count():
    rng = np.random.default_rng(0)
    x, scales = rng.normal(size=(6, 3)).astype(np.float32), rng.uniform(0.1, 10, (6, 1)).astype(np.float32)
    np.testing.assert_allclose(embedding_spread((x * scales)[::-1]), embedding_spread(x), rtol=1e-5)


# edges


@pytest.mark.parametrize("x", [np.ones((4, 3)), [[2.0, 1.0], [4.0, 2.0]], np.zeros((4, 3)), np.zeros((0, 3))])
def test_a_collapse_has_no_spread(x):
    assert float(embedding_spread(np.float32(x))) == pytest.approx(0.0, abs=1e-6)
    assert float(embedding_spread(np.float32(x))) >= 0.0


def test_directions_that_cancel_out_have_all_of_it():
    assert float(embedding_spread(np.float32([[1, 0], [-3, 0], [0, 2], [0, -1]]))) == 1.0


def test_zero_vectors_are_left_out():
    x = np.float32([[1, 0], [0, 1], [0, 0], [0, 0]])
    np.testing.assert_allclose(embedding_spread(x), embedding_spread(x[:2]))


def test_half_precision_is_computed_in_float32():
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float16) * np.float16(300)
    spread = embedding_spread(x)
    assert spread.dtype == tf.float32
    np.testing.assert_allclose(spread, embedding_spread(x.astype(np.float32)))


def test_nan_shows():
    assert np.isnan(embedding_spread(np.float32([[1, 0], [np.nan, 1]])))


def test_graph_and_xla_equal_eager():
    x = tf.constant(np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))
    for options in ({}, {"jit_compile": True}):
        np.testing.assert_allclose(tf.function(embedding_spread, **options)(x), embedding_spread(x), rtol=1e-6)
