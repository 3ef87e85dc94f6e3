import numpy as np
import pytest

from care_tf.losses import LogitAdjustedLoss, cost_sensitive_cross_entropy, logit_adjusted_loss

COUNTS = [70, 25, 5]


def slow_loss(labels, logits, counts, tau, weights):
    result = []
    for label, row in zip(labels, logits, strict=True):
        terms = [np.exp(float(value)) * (count / sum(counts)) ** tau for value, count in zip(row, counts, strict=True)]
        result.append(-weights[label] * np.log(terms[label] / sum(terms)))
    return result


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return rng.integers(0, 3, 8), rng.normal(0, 2, (8, 3)).astype(np.float32)


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_it_equals_the_slow_oracle(batch, tau):
    labels, logits = batch
    weights = [1.0, 0.5, 3.0]
    actual = logit_adjusted_loss(labels, logits, COUNTS, tau, weights, from_logits=True)
    np.testing.assert_allclose(actual, slow_loss(labels, logits, COUNTS, tau, weights), rtol=1e-4, atol=1e-6)


def test_tau_one_is_the_balanced_softmax(batch):
    """Ren et al. 2020, Theorem 1: n_y e^z_y / sum_c n_c e^z_c."""
    labels, logits = batch
    terms = np.array(COUNTS) * np.exp(logits)
    expected = -np.log(terms[np.arange(8), labels] / terms.sum(-1))
    np.testing.assert_allclose(
        LogitAdjustedLoss(COUNTS, from_logits=True, reduction="none")(labels, logits), expected, 1e-4
    )


@pytest.mark.parametrize("counts", [COUNTS, [0.7, 0.25, 0.05]])
def test_only_the_shares_of_the_counts_matter(batch, counts):
    labels, logits = batch
    np.testing.assert_allclose(
        logit_adjusted_loss(labels, logits, counts, from_logits=True),
        logit_adjusted_loss(labels, logits, np.array(COUNTS) * 10, from_logits=True),
        rtol=1e-5,
    )


@pytest.mark.parametrize(("tau", "counts"), [(0.0, COUNTS), (1.0, [4, 4, 4])])
def test_without_an_adjustment_it_is_the_cross_entropy(batch, tau, counts):
    labels, logits = batch
    plain = cost_sensitive_cross_entropy(labels, logits, from_logits=True)
    np.testing.assert_allclose(logit_adjusted_loss(labels, logits, counts, tau, None, True), plain, rtol=1e-5)


def test_the_loss_is_least_where_the_adjusted_logits_are_the_true_log_odds():
    """A class of prior 0.1 and 0.9, and no information in the image: balanced logits are equal."""
    rows = np.array([[0.9, 0.1]])

    def loss(gap):
        return float(logit_adjusted_loss(rows, np.array([[0.0, gap]]), [9, 1], from_logits=True)[0])

    assert loss(0.0) < loss(0.01) and loss(0.0) < loss(-0.01)
