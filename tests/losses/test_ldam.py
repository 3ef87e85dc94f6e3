import numpy as np
import pytest
import tensorflow as tf

from care_tf.losses import cost_sensitive_cross_entropy, ldam_loss
from care_tf.losses._ldam import label_distribution_margins

COUNTS = [625, 16, 1]


def slow_loss(labels, logits, counts, max_margin, scale, weights):
    result = []
    for label, row in zip(labels, logits, strict=True):
        moved = [scale * float(value) for value in row]
        moved[label] -= scale * max_margin * (min(counts) / counts[label]) ** 0.25
        result.append(-weights[label] * (moved[label] - np.log(sum(np.exp(value) for value in moved))))
    return result


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return rng.integers(0, 3, 8), rng.normal(0, 2, (8, 3)).astype(np.float32)


@pytest.mark.parametrize(("max_margin", "scale"), [(0.5, 1.0), (2.0, 1.0), (0.3, 5.0)])
def test_it_equals_the_slow_oracle(batch, max_margin, scale):
    labels, logits = batch
    weights = [1.0, 0.5, 3.0]
    expected = slow_loss(labels, logits, COUNTS, max_margin, scale, weights)
    actual = ldam_loss(labels, logits, COUNTS, max_margin, scale, weights, from_logits=True)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


def test_margins_fall_with_the_fourth_root_of_the_count():
    np.testing.assert_allclose(label_distribution_margins(COUNTS, 0.5), [0.1, 0.25, 0.5])


def test_without_a_margin_it_is_the_cross_entropy(batch):
    labels, logits = batch
    plain = cost_sensitive_cross_entropy(labels, logits, from_logits=True)
    np.testing.assert_array_equal(ldam_loss(labels, logits, COUNTS, 0.0, from_logits=True), plain)


def test_a_margin_makes_every_sample_harder_and_the_rarest_class_most(batch):
    _, logits = batch
    extra = []
    for label in range(3):
        labels = np.full(8, label)
        plain = cost_sensitive_cross_entropy(labels, 0 * logits, from_logits=True)
        extra.append(float(tf.reduce_mean(ldam_loss(labels, 0 * logits, COUNTS, 0.5, from_logits=True) - plain)))
    assert 0 < extra[0] < extra[1] < extra[2]
