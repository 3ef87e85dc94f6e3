import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from care_tf.losses import ClassCenterTripletLoss, class_center_triplet_loss, triplet_loss


def slow_loss(labels, x, margin, power, normalize, class_balanced):
    if normalize:
        x = np.array([row / np.sqrt(sum(row**2)) for row in x])
    terms = {}
    for i in range(len(x)):
        others = [x[j] for j in range(len(x)) if labels[j] == labels[i] and j != i]
        centers = [np.mean(x[labels == k], axis=0) for k in set(labels) if k != labels[i]]
        if others and centers:
            own = np.linalg.norm(x[i] - np.mean(others, axis=0)) ** power
            nearest = min(np.linalg.norm(x[i] - center) ** power for center in centers)
            terms.setdefault(labels[i], []).append(max(margin + own - nearest, 0))
    if class_balanced:
        return np.mean([np.mean(values) for values in terms.values()] or [0])
    return np.mean([term for values in terms.values() for term in values] or [0])


# oracle


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 10), st.floats(0.1, 3.0), st.booleans(), st.booleans(), st.booleans())
def test_equals_slow_loops(seed, n, margin, squared, normalize, class_balanced):
    rng = np.random.default_rng(seed)
    labels, x = rng.integers(0, 4, n), rng.normal(size=(n, 3))
    expected = slow_loss(labels, x, margin, 2 if squared else 1, normalize, class_balanced)
    distance = "squared_euclidean" if squared else "euclidean"
    result = class_center_triplet_loss(labels, x, margin, distance, class_balanced, normalize)
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-12)


# identities


def test_equals_the_triplet_loss_where_every_center_is_one_example():
    # Of the class of two the center left is the other example; the class of one is its own center.
    labels, x = [0, 0, 1], np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_allclose(class_center_triplet_loss(labels, x, 2.0), triplet_loss(labels, x, 2.0), rtol=1e-9)


# edges


def test_examples_nearer_to_their_own_center_by_the_margin_cost_nothing():
    x = np.float32([[1, 0], [2, 0], [0, 1], [0, 3]])
    assert float(class_center_triplet_loss([0, 0, 1, 1], x, 1.4)) == 0.0
    assert float(class_center_triplet_loss([0, 0, 1, 1], x, 1.5)) > 0.0


def test_equal_embeddings_cost_the_margin():
    np.testing.assert_allclose(class_center_triplet_loss([0, 0, 1, 1, 1], np.ones((5, 3), np.float32), 0.25), 0.25)


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
def test_a_nan_in_a_center_that_is_not_the_nearest_shows(compiled):
    x = np.float32([[0, 0], [0, 1], [5, 0], [5, 1], [np.nan, 0]])
    loss = tf.function(ClassCenterTripletLoss(normalize=False), jit_compile=compiled)
    assert np.isnan(loss(tf.constant([0, 0, 1, 1, 2]), tf.constant(x)))
