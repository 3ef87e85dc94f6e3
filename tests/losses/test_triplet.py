import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from care_tf.losses import TripletLoss, triplet_loss

pytestmark = pytest.mark.one_generation  # but for what meets Keras

MINING = ("batch_hard", "semi_hard", "batch_all")


def terms_of_anchor(i, labels, distances, margin, mining):
    """The losses that the mean is over; None for an anchor without triplets."""
    positives = [distances[i, j] for j in range(len(labels)) if labels[j] == labels[i] and j != i]
    negatives = [distances[i, j] for j in range(len(labels)) if labels[j] != labels[i]]
    if not positives or not negatives:
        return None
    if mining == "batch_hard":
        return [max(margin + max(positives) - min(negatives), 0)]
    if mining == "semi_hard":
        chosen = [min([n for n in negatives if n > p], default=max(negatives)) for p in positives]
        return [max(margin + p - n, 0) for p, n in zip(positives, chosen, strict=True)]
    return [margin + p - n for p in positives for n in negatives if margin + p - n > 0]


def slow_loss(labels, x, margin, mining, squared, class_balanced):
    distances = np.array([[np.sqrt(sum((a - b) ** 2)) for b in x] for a in x]) ** (2 if squared else 1)
    by_class = {}
    for i in range(len(labels)):
        terms = terms_of_anchor(i, labels, distances, margin, mining)
        if terms is not None:
            by_class.setdefault(labels[i], []).extend(terms)
    if class_balanced:
        return np.mean([np.mean(terms or [0]) for terms in by_class.values()] or [0])
    return np.mean([term for terms in by_class.values() for term in terms] or [0])


# oracle


@pytest.mark.parametrize("mining", MINING)
@settings(max_examples=15)
@given(st.integers(0, 10_000), st.integers(1, 10), st.floats(0.05, 2.0), st.booleans(), st.booleans())
def test_equals_slow_loops(mining, seed, n, margin, squared, class_balanced):
    rng = np.random.default_rng(seed)
    labels, x = rng.integers(0, 4, n), rng.normal(size=(n, 3))
    distance = "squared_euclidean" if squared else "euclidean"
    expected = slow_loss(labels, x, margin, mining, squared, class_balanced)
    result = triplet_loss(labels, x, margin, mining, distance, class_balanced, normalize=False)
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.both_generations
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize(("mining", "name"), [("batch_hard", "hard"), ("semi_hard", "semihard")])
def test_equals_tensorflow_addons(mining, name, squared):
    tfa = pytest.importorskip("tensorflow_addons")
    theirs = getattr(tfa.losses, f"triplet_{name}_loss")
    labels = np.array([0] * 7 + [1] * 2 + [2] * 5)  # every anchor has a positive: Addons counts those without
    x = np.random.default_rng(3).normal(size=(14, 5)).astype(np.float32)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    for margin in (0.2, 1.0):
        expected = theirs(labels, unit, margin=margin, distance_metric="squared-L2" if squared else "L2")
        result = triplet_loss(labels, x, margin, mining, "squared_euclidean" if squared else "euclidean")
        np.testing.assert_allclose(result, expected, rtol=1e-5)


# identities


@pytest.mark.parametrize("mining", MINING)
def test_balance_changes_nothing_among_equal_classes(mining):
    labels, x = [0, 0, 0, 1, 1, 1], np.random.default_rng(0).normal(size=(6, 3))
    margin = 4.0  # unit vectors are at most 2 apart, so that every triplet has a loss and every class as many
    plain = triplet_loss(labels, x, margin, mining)
    np.testing.assert_allclose(triplet_loss(labels, x, margin, mining, class_balanced=True), plain, rtol=1e-9)


def test_mining_makes_no_difference_where_there_is_one_triplet_for_each_anchor():
    labels, x = [0, 0, 1], np.random.default_rng(0).normal(size=(3, 3))
    values = [float(triplet_loss(labels, x, 4.0, mining)) for mining in MINING]
    np.testing.assert_allclose(values, values[0], rtol=1e-9)


# edges


@pytest.mark.parametrize("mining", MINING)
def test_clusters_farther_apart_than_the_margin_cost_nothing(mining):
    x = np.float32([[1, 0], [2, 0], [0, 1], [0, 3]])
    assert float(triplet_loss([0, 0, 1, 1], x, 1.4, mining)) == 0.0
    assert float(triplet_loss([0, 0, 1, 1], x, 1.5, mining)) > 0.0


@pytest.mark.parametrize("mining", MINING)
def test_an_anchor_without_a_positive_is_a_negative_only(mining):
    x = np.array([[0.0], [1.0], [3.0]])
    expected = {"batch_hard": (0.0 + 0.5) / 2, "semi_hard": (0.0 + 0.5) / 2, "batch_all": 0.5}
    result = triplet_loss([0, 0, 1], x, 1.5, mining, normalize=False)
    np.testing.assert_allclose(result, expected[mining])


@pytest.mark.parametrize("mining", MINING)
def test_equal_embeddings_cost_the_margin(mining):
    x = np.ones((5, 3), np.float32)
    np.testing.assert_allclose(triplet_loss([0, 0, 1, 1, 1], x, 0.25, mining), 0.25)


@pytest.mark.parametrize(("mining", "compiled"), [("batch_hard", True), ("semi_hard", False), ("batch_all", False)])
def test_a_nan_that_no_triplet_picks_shows(mining, compiled):
    x = np.float32([[0, 0], [0, 1], [5, 0], [5, 1], [np.nan, 0]])
    loss = TripletLoss(mining=mining, normalize=False)
    function = tf.function(loss, jit_compile=True) if compiled else loss
    assert np.isnan(function(tf.constant([0, 0, 1, 1, 2]), tf.constant(x)))
