import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import lars_path

from care_tf.boxes.saliency._lasso import lasso_residuals


def residuals_of(targets, atoms, penalty):
    return lasso_residuals([targets], [atoms], penalty)[0]


def problem(seed, num_atoms=20, rank=8, num_targets=30):
    """Strongly correlated atoms, as colors are; with rank < 8 they depend on each other."""
    rng = np.random.default_rng(seed)
    points = 0.5 + 0.2 * rng.normal(size=(num_targets + num_atoms, rank)) @ rng.normal(size=(rank, 8)) / rank**0.5
    atoms = points[num_targets:]
    return points[:num_targets], atoms / np.linalg.norm(atoms, axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("penalty", [0.5, 0.01, 1e-4])
def test_residuals_equal_scikit_learns_lars(seed, penalty):
    targets, atoms = problem(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where it stops early it says so
        paths = [lars_path(atoms.T, target, alpha_min=penalty / 8, method="lasso") for target in targets]
    has_arrived = np.array([alphas[-1] <= penalty / 8 * (1 + 1e-9) for alphas, _, _ in paths])
    assert has_arrived.mean() > 0.9
    expected = targets - np.array([coefficients[:, -1] for _, _, coefficients in paths]) @ atoms
    found = residuals_of(targets, atoms, penalty)
    np.testing.assert_allclose(found[has_arrived], expected[has_arrived], atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), num_atoms=st.integers(1, 60), rank=st.integers(1, 8))
def test_residuals_meet_the_optimality_conditions(seed, num_atoms, rank):
    """The residual is the dual's minimum: the projection of the target onto {r: |atoms r| <= penalty}."""
    targets, atoms = problem(seed, num_atoms, rank)
    residuals = residuals_of(targets, atoms, 0.01)
    assert np.abs(residuals @ atoms.T).max() <= 0.01 * (1 + 1e-6)
    # The angle to every other feasible point is obtuse, as for any projection onto a convex set.
    for other in (residuals[::-1], residuals * 0.5, -residuals):
        assert (((targets - residuals) * (other - residuals)).sum(axis=1) <= 1e-7).all()


def test_orthogonal_atoms_shrink_the_target():
    targets = np.array([[0.5, -0.3, 0.05, 0.0]])
    np.testing.assert_allclose(residuals_of(targets, np.eye(4), 0.1), [[0.1, -0.1, 0.05, 0.0]], atol=1e-12)


def test_the_sign_of_an_atom_does_not_matter():
    targets, atoms = problem(1)
    flipped = atoms * np.where(np.arange(len(atoms)) % 3 == 0, -1.0, 1.0)[:, np.newaxis]
    np.testing.assert_allclose(residuals_of(targets, flipped, 0.01), residuals_of(targets, atoms, 0.01), atol=1e-9)


def test_an_atom_may_change_its_sign_on_the_path():
    """Some targets of this problem lose an atom and take it up again with the other sign."""
    targets, atoms = problem(1, num_atoms=3, rank=2, num_targets=70)
    residuals = residuals_of(targets, atoms, 0.01)
    assert np.abs(residuals @ atoms.T).max() <= 0.01 * (1 + 1e-6)


def test_repeated_atoms_change_nothing():
    targets, atoms = problem(2)
    expected = residuals_of(targets, atoms, 0.01)
    np.testing.assert_allclose(residuals_of(targets, np.concatenate([atoms, atoms]), 0.01), expected, atol=1e-7)


def test_a_target_within_the_penalty_stays():
    _, atoms = problem(3)
    targets = np.array([np.full(8, 1e-3), np.zeros(8)])
    np.testing.assert_array_equal(residuals_of(targets, atoms, 0.01), targets)
    np.testing.assert_array_equal(residuals_of(targets, np.zeros((2, 8)), 0.01), targets)
    assert residuals_of(np.zeros((0, 8)), atoms, 0.01).shape == (0, 8)


def test_several_problems_at_once_are_one_after_the_other():
    problems = [problem(seed, num_atoms, rank) for seed, num_atoms, rank in ((0, 20, 8), (1, 5, 3), (2, 60, 8))]
    targets, atoms = zip(*problems, strict=True)
    for own, pair in zip(lasso_residuals(targets, atoms, 0.01), problems, strict=True):
        np.testing.assert_allclose(own, residuals_of(*pair, 0.01), atol=1e-12)


def test_the_residual_of_an_atom_is_the_penalty_times_the_atom():
    _, atoms = problem(4)
    np.testing.assert_allclose(residuals_of(atoms, atoms, 0.01), 0.01 * atoms, atol=1e-11)
