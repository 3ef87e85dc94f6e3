import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from care_tf.boxes.saliency._propagation import cluster_labels, propagate, propagated_errors


def slow_propagate(errors, features, clusters, own_share):
    """One kind of error, cluster by cluster, in place, in loops."""
    variance = np.mean([np.var(features[:, axis]) for axis in range(features.shape[1])])
    errors = list(errors)
    for i in sorted(range(len(errors)), key=lambda i: -errors[i]):
        total = weighted = 0.0
        for j in range(len(errors)):
            if j != i and clusters[j] == clusters[i]:
                weight = np.exp(-((features[i] - features[j]) ** 2).sum() / (2 * variance))
                total, weighted = total + weight, weighted + weight * errors[j]
        if total > 0:
            errors[i] = own_share * errors[i] + (1 - own_share) * weighted / total
    return np.array(errors)


@pytest.fixture
def superpixels():
    rng = np.random.default_rng(0)
    return rng.random((50, 2)), rng.random((50, 8)), rng.integers(0, 6, 50)


@pytest.mark.parametrize("own_share", [0.5, 0.2, 0.0])
def test_propagation_equals_the_slow_oracle(superpixels, own_share):
    errors, features, clusters = superpixels
    mixed = propagate(errors, features, clusters, own_share)
    for kind in range(2):
        expected = slow_propagate(errors[:, kind], features, clusters, own_share)
        np.testing.assert_allclose(mixed[:, kind], expected, rtol=1e-12)


def test_in_place_differs_from_all_at_once(superpixels):
    """Two superpixels: the larger error moves first, and the smaller one sees where it went."""
    mixed = propagate(np.array([[0.0], [1.0]]), np.array([[0.0], [1.0]]), np.array([3, 3]))
    np.testing.assert_allclose(mixed[:, 0], [0.25, 0.5])


def test_superpixels_without_company_keep_their_errors(superpixels):
    errors, features, _ = superpixels
    np.testing.assert_array_equal(propagate(errors, features, np.arange(50)), errors)
    np.testing.assert_array_equal(propagate(errors, features, np.zeros(50), own_share=1.0), errors)
    np.testing.assert_array_equal(propagate(errors, np.ones((50, 8)), np.zeros(50)), errors)  # no variance, no scale


def test_equal_errors_stay():
    features = np.random.default_rng(1).random((30, 8))
    mixed = propagate(np.full((30, 1), 0.3), features, cluster_labels(features))
    np.testing.assert_allclose(mixed, 0.3, rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000))
def test_propagation_stays_between_the_extremes_and_follows_a_permutation(seed):
    rng = np.random.default_rng(seed)
    errors, features, clusters = rng.random((20, 2)), rng.random((20, 8)), rng.integers(0, 3, 20)
    mixed = propagate(errors, features, clusters)
    assert mixed.min() >= errors.min() and mixed.max() <= errors.max()
    order = rng.permutation(20)
    np.testing.assert_allclose(propagate(errors[order], features[order], clusters[order]), mixed[order], rtol=1e-10)


def test_clusters_are_scikit_learns_from_the_same_start():
    rng = np.random.default_rng(2)
    features = rng.random((300, 8))
    start = [int(((features - features.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    while len(start) < 8:
        start.append(int(((features[:, None] - features[start]) ** 2).sum(axis=2).min(axis=1).argmax()))
    expected = KMeans(8, init=features[start], n_init=1, max_iter=100, tol=0.0, algorithm="lloyd").fit(features)
    np.testing.assert_array_equal(cluster_labels(features), expected.labels_)


def test_clusters_of_separate_clouds_and_of_few_features():
    rng = np.random.default_rng(3)
    clouds = np.repeat(np.arange(8), 20)
    labels = cluster_labels(10 * np.eye(8)[clouds] + 0.1 * rng.random((160, 8)))
    assert len(set(zip(clouds.tolist(), labels.tolist(), strict=True))) == 8
    assert sorted(cluster_labels(rng.random((3, 8)))) == [0, 1, 2]
    assert set(cluster_labels(np.ones((5, 8)))) == {0}


def test_propagated_errors_fill_the_unit_interval(superpixels):
    errors, features, _ = superpixels
    scaled = propagated_errors(errors, features)
    np.testing.assert_array_equal(scaled.min(axis=0), 0)
    np.testing.assert_array_equal(scaled.max(axis=0), 1)
    mixed = propagate(errors, features, cluster_labels(features))
    np.testing.assert_allclose(scaled, (mixed - mixed.min(axis=0)) / np.ptp(mixed, axis=0), atol=1e-12)
