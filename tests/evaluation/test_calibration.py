import numpy as np
import pytest

from care_tf.errors import InputError
from care_tf.evaluation.calibration import calibration_statistic, fit_temperature, tempered


def _drawn(n=4000, temperature=1.0, seed=0):
    """Labels drawn from tempered probabilities: what `fit_temperature` must find."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(4, 0.5), n)
    odds = tempered(probabilities, temperature).cumsum(axis=1)
    return (rng.uniform(size=(n, 1)) > odds).sum(axis=1).clip(0, 3), probabilities


# oracle


def test_calibration_error_equals_loops_over_bins():
    labels, probabilities = _drawn(200)
    weights = np.random.default_rng(1).integers(0, 3, (3, 200))
    for found, weight in zip(calibration_statistic(labels, probabilities)(weights.astype(float)), weights, strict=True):
        y, p = np.repeat(labels, weight), np.repeat(probabilities, weight, axis=0)
        expected = 0.0
        for lower in range(15):
            inside = [i for i in range(len(y)) if lower / 15 < max(p[i]) <= (lower + 1) / 15]
            if inside:
                right = np.mean([p[i].argmax() == y[i] for i in inside])
                expected += len(inside) / len(y) * abs(right - np.mean([max(p[i]) for i in inside]))
        assert found == pytest.approx(expected)


def test_the_temperature_is_the_most_likely_of_a_grid():
    labels, probabilities = _drawn(300, 2.0)
    grid = np.linspace(0.5, 6, 2000)
    surprise = [-np.log(tempered(probabilities, t)[np.arange(300), labels]).sum() for t in grid]
    assert fit_temperature(labels, probabilities) == pytest.approx(grid[np.argmin(surprise)], abs=3e-3)


# identities


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found_and_calibrates(temperature):
    labels, probabilities = _drawn(temperature=temperature)
    found = fit_temperature(labels, probabilities)
    assert found == pytest.approx(temperature, rel=0.06)
    error = calibration_statistic(labels, tempered(probabilities, found))(np.ones((1, len(labels))))
    assert error < 0.03


def test_tempering_is_division_of_logits():
    logits = np.random.default_rng(0).normal(size=(5, 3))
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    halved = np.exp(logits / 2) / np.exp(logits / 2).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(tempered(softmax, 2.0), halved)
    np.testing.assert_allclose(tempered(softmax, 1.0), softmax)


# edges


def test_a_network_that_is_always_right_and_one_that_is_sure_and_wrong():
    sure = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert fit_temperature(np.array([0, 1]), sure) < 2 and np.isfinite(tempered(sure, 0.05)).all()
    assert fit_temperature(np.array([1, 0]), sure) > 15
    assert calibration_statistic(np.array([1, 0]), sure)(np.ones((1, 2))) == 1
    with pytest.raises(InputError, match="Received: none"):
        fit_temperature(np.array([], int), np.zeros((0, 2)))
