import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from care_tf.errors import InputError
from care_tf.losses import CostSensitiveCrossEntropy, cost_sensitive_cross_entropy


def slow_loss(labels, logits, weights):
    result = []
    for label, row in zip(labels, logits, strict=True):
        exponentials = [np.exp(float(value) - float(max(row))) for value in row]
        result.append(-weights[label] * np.log(exponentials[label] / sum(exponentials)))
    return result


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return rng.integers(0, 4, 9), rng.normal(0, 2, (9, 4)).astype(np.float32)


def probabilities(logits):
    return tf.nn.softmax(logits).numpy()


@pytest.mark.parametrize("from_logits", [True, False])
def test_it_equals_the_slow_oracle(batch, from_logits):
    labels, logits = batch
    weights = [0.5, 2.0, 0.0, 1.0]
    given_ = logits if from_logits else probabilities(logits)
    actual = cost_sensitive_cross_entropy(labels, given_, weights, from_logits)
    np.testing.assert_allclose(actual, slow_loss(labels, logits, weights), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("from_logits", [True, False])
def test_without_weights_it_is_keras_cross_entropy(batch, from_logits):
    labels, logits = batch
    given_ = logits if from_logits else probabilities(logits)
    one_hot = np.eye(4, dtype=np.float32)[labels]
    soft = probabilities(logits[::-1])
    ours = CostSensitiveCrossEntropy(from_logits=from_logits, reduction="none")
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits, reduction="none")
    categorical = keras.losses.CategoricalCrossentropy(from_logits=from_logits, reduction="none")
    np.testing.assert_allclose(ours(labels, given_), sparse(labels, given_), rtol=1e-5, atol=1e-6)
    for rows in (one_hot, soft):
        np.testing.assert_allclose(ours(rows, given_), categorical(rows, given_), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("soft", [True, False])
def test_one_unit_is_keras_binary_cross_entropy(from_logits, soft):
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 3, (9, 1)).astype(np.float32)
    labels = (rng.random((9, 1)) if soft else rng.integers(0, 2, (9, 1))).astype(np.float32)
    given_ = logits if from_logits else tf.sigmoid(logits).numpy()
    theirs = keras.losses.BinaryCrossentropy(from_logits=from_logits, reduction="none")(labels, given_)
    np.testing.assert_allclose(
        cost_sensitive_cross_entropy(labels, given_, None, from_logits), theirs, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        cost_sensitive_cross_entropy(labels[:, 0], given_, None, from_logits), theirs, rtol=1e-4, atol=1e-6
    )


def test_reductions_and_sample_weights_are_keras_own(batch):
    labels, logits = batch
    sample_weight = np.linspace(0, 2, 9).astype(np.float32)
    per_sample = cost_sensitive_cross_entropy(labels, logits, None, True) * sample_weight
    for reduction, expected in (
        ("none", per_sample),
        ("sum", np.sum(per_sample)),
        ("sum_over_batch_size", np.mean(per_sample)),
    ):
        loss = CostSensitiveCrossEntropy(from_logits=True, reduction=reduction)
        np.testing.assert_allclose(loss(labels, logits, sample_weight=sample_weight), expected, rtol=1e-6)


@settings(max_examples=30)
@given(st.lists(st.floats(0, 100), min_size=3, max_size=3), st.integers(0, 2))
def test_a_sample_costs_its_class_weight_times_the_plain_loss(weights, label):
    logits = np.array([[1.0, -2.0, 0.5]], np.float32)
    plain = cost_sensitive_cross_entropy([label], logits, from_logits=True)
    weighted = cost_sensitive_cross_entropy([label], logits, weights, from_logits=True)
    np.testing.assert_allclose(weighted, plain * weights[label], rtol=1e-5, atol=1e-6)


def test_the_number_of_class_weights_must_fit(batch):
    labels, logits = batch
    with pytest.raises(InputError, match="one class weight for each of 4 classes"):
        cost_sensitive_cross_entropy(labels, logits, [1.0, 2.0, 3.0], from_logits=True)
    with pytest.raises(InputError, match="has 3 class weights, but the predictions have 4 classes"):
        CostSensitiveCrossEntropy([1.0, 2.0, 3.0], from_logits=True)(labels, logits)
