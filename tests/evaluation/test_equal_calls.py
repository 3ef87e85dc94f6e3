import numpy as np
import pytest

from care_tf.evaluation._equal_calls import recall_at_equal_calls
from care_tf.evaluation._weighted_statistics import equal_calls_statistics


def _softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def _rare(seed, n=80):
    rng = np.random.default_rng(seed)
    labels = np.where(np.arange(n) % 8 == 0, 2, np.arange(n) % 2)
    return labels, rng.normal(size=(n, 3)) + 1.5 * np.eye(3)[labels], rng


# oracle


@pytest.mark.parametrize("seed", range(5))
def test_equals_a_search_for_the_shift(seed):
    """Bisection on the shift of the logit, on images repeated as often as their weight says."""
    labels, logits, rng = _rare(seed)
    calls = rng.permutation(np.arange(80) < 17)
    weights = np.ones((2, 80))
    weights[1] = rng.integers(0, 2, 80)
    for found, weight in zip(recall_at_equal_calls(labels, _softmax(logits), calls, 2, weights), weights, strict=True):
        kept = np.repeat(np.arange(80), weight.astype(int))
        low, high = -50.0, 50.0
        for _ in range(200):
            middle = (low + high) / 2
            called = (logits[kept] + [0, 0, middle]).argmax(axis=1) == 2
            low, high = (middle, high) if called.sum() < calls[kept].sum() else (low, middle)
        called = (logits[kept] + [0, 0, high]).argmax(axis=1) == 2
        assert called.sum() == calls[kept].sum()
        assert found == pytest.approx(called[labels[kept] == 2].mean())


# identities


def test_a_shifted_baseline_gains_nothing():
    labels, logits, _ = _rare(7)
    shifted = _softmax(logits + np.array([0, 0, 1.7]))
    found = equal_calls_statistics(labels, _softmax(logits), shifted, "abc")(np.ones((1, 80)))
    assert shifted.argmax(1).tolist().count(2) > logits.argmax(1).tolist().count(2)
    assert found["recall_at_equal_calls/c"] == pytest.approx(0.0, abs=1e-12)


def test_a_better_ranking_is_a_gain():
    labels, logits, _ = _rare(3)
    better = _softmax(logits + 3 * np.eye(3)[labels])
    assert (
        equal_calls_statistics(labels, _softmax(logits), better, "abc")(np.ones((1, 80)))["recall_at_equal_calls/c"]
        > 0.2
    )


# edges


def test_images_of_one_margin_count_by_their_share():
    baseline = np.full((4, 2), 0.5)
    found = recall_at_equal_calls(
        np.array([1, 1, 0, 0]), baseline, np.array([True, False, False, False]), 1, np.ones((1, 4))
    )
    assert found == pytest.approx(0.25)


def test_no_calls_and_no_members():
    labels, logits, _ = _rare(0)
    none, all_calls = np.zeros(80, bool), np.ones(80, bool)
    assert recall_at_equal_calls(labels, _softmax(logits), none, 2, np.ones((1, 80))) == 0
    assert recall_at_equal_calls(labels, _softmax(logits), all_calls, 2, np.ones((1, 80))) == 1
    assert np.isnan(recall_at_equal_calls(labels, _softmax(logits), all_calls, 2, np.zeros((1, 80))))


def test_probabilities_of_zero_are_ranked():
    baseline = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    assert recall_at_equal_calls(np.array([0, 1, 1]), baseline, np.array([False, True, True]), 1, np.ones((1, 3))) == 1
