import warnings

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Lasso

from care_tf.boxes.saliency._reconstruction import dense_error, sparse_errors


def problem(seed, num=40, num_templates=15, rank=8):
    """Positive, strongly correlated features, as colors are."""
    rng = np.random.default_rng(seed)
    features = 0.5 + 0.2 * rng.normal(size=(num, rank)) @ rng.normal(size=(rank, 8)) / rank**0.5
    is_background = np.zeros(num, bool)
    is_background[rng.permutation(num)[:num_templates]] = True
    return features, is_background


def sparse_error(features, is_background, *penalty):
    return sparse_errors([features], [is_background], *penalty)[0]


def slow_sparse_error(features, is_background, penalty):
    """One scikit-learn Lasso per superpixel."""
    templates = features[is_background]
    columns = (templates / np.linalg.norm(templates, axis=1, keepdims=True)).T
    model = Lasso(alpha=penalty / len(columns), fit_intercept=False, max_iter=1_000_000, tol=1e-12)
    errors = []
    for feature in features:
        feature = feature / np.linalg.norm(feature)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a duality gap it cannot reach in float64
            model.fit(columns, feature)
        errors.append(((feature - columns @ model.coef_) ** 2).sum())
    return np.array(errors)


@pytest.mark.parametrize("energy", [0.5, 0.95, 1.0])
def test_dense_error_equals_scikit_learns_pca(energy):
    features, is_background = problem(0)
    pca = PCA(n_components=None if energy == 1.0 else energy, svd_solver="full").fit(features[is_background])
    offsets = features - features.mean(axis=0)
    rest = offsets - offsets @ pca.components_.T @ pca.components_
    np.testing.assert_allclose(
        dense_error(features, is_background, energy), np.linalg.norm(rest, axis=1), rtol=1e-9, atol=1e-12
    )


def test_dense_error_on_a_line_is_the_distance_to_it():
    features = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [1, 3, 4]])
    # The mean is (1, 0.75, 1), and only x is kept.
    expected = [1.25, 1.25, 1.25, np.hypot(2.25, 3.0)]
    np.testing.assert_allclose(dense_error(features, np.array([True, True, True, False])), expected)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("penalty", [0.3, 0.01, 0.001])
def test_sparse_error_equals_scikit_learns_lasso(seed, penalty):
    features, is_background = problem(seed, num=25)
    expected = slow_sparse_error(features, is_background, penalty)
    assert expected.max() > 0
    np.testing.assert_allclose(sparse_error(features, is_background, penalty), expected, rtol=1e-4, atol=1e-8)


def test_sparse_error_of_dependent_templates_equals_scikit_learns_lasso():
    """Gray images: the eight features have four dimensions; two equal superpixels make two equal columns."""
    features, is_background = problem(5, num=25)
    features[:, 1] = features[:, 2] = features[:, 0]
    features[:, 4:6] = 0.0
    features[np.flatnonzero(is_background)[:2]] = features[np.flatnonzero(is_background)[2]]
    expected = slow_sparse_error(features, is_background, 0.01)
    np.testing.assert_allclose(sparse_error(features, is_background, 0.01), expected, rtol=1e-3, atol=1e-8)


def test_without_penalty_the_sparse_error_is_that_of_least_squares():
    features, is_background = problem(1, num_templates=5)
    templates = features[is_background]
    coefficients = np.linalg.lstsq(templates.T, features.T, rcond=None)[0]
    expected = ((features - (templates.T @ coefficients).T) ** 2).sum(axis=1)
    np.testing.assert_allclose(sparse_error(features, is_background, 1e-9), expected / (features**2).sum(1), atol=1e-7)


def test_a_large_penalty_reconstructs_nothing():
    features, is_background = problem(2)
    np.testing.assert_allclose(sparse_error(features, is_background, 1e3), 1.0)


def test_templates_that_span_everything_leave_no_error():
    features, _ = problem(3)
    everything = np.ones(len(features), bool)
    np.testing.assert_allclose(dense_error(features, everything, 1.0), 0, atol=1e-12)
    assert sparse_error(features, everything, 1e-7).max() < 1e-10


def test_equal_templates_and_zero_templates():
    features = np.ones((4, 8))
    features[3] = 2.0
    is_background = np.array([True, True, False, False])
    np.testing.assert_allclose(dense_error(features, is_background), np.linalg.norm(features - 1.25, axis=1))
    np.testing.assert_allclose(sparse_error(features, is_background), 1e-4, rtol=1e-6)
    zeros = np.zeros((3, 8))
    assert not sparse_error(zeros, np.array([True, False, True])).any()
    assert not dense_error(zeros, np.array([True, False, True])).any()
