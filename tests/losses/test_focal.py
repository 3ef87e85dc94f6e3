import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from care_tf.losses import FocalLoss, cost_sensitive_cross_entropy, focal_loss

pytestmark = pytest.mark.one_generation  # but for what meets Keras


def slow_loss(rows, probabilities, gamma, alpha):
    result = []
    for row, probability in zip(rows, probabilities, strict=True):
        terms = [-a * y * (1 - p) ** gamma * np.log(p) for a, y, p in zip(alpha, row, probability, strict=True)]
        result.append(sum(terms))
    return result


def value_and_slope(function, values):
    values = tf.constant(values)
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss = function(values)
    return loss.numpy(), tape.gradient(loss, values).numpy()


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return rng.integers(0, 4, 9), rng.normal(0, 2, (9, 4)).astype(np.float32)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("soft", [True, False])
def test_it_equals_the_slow_oracle(batch, gamma, soft):
    labels, logits = batch
    alpha = [0.5, 2.0, 0.0, 1.0]
    probability = tf.nn.softmax(logits.astype(np.float64)).numpy()
    rows = probability[::-1] if soft else np.eye(4)[labels]
    expected = slow_loss(rows, probability, gamma, alpha)
    labels = rows if soft else labels
    np.testing.assert_allclose(focal_loss(labels, logits, gamma, alpha, from_logits=True), expected, rtol=1e-4)
    np.testing.assert_allclose(focal_loss(labels, probability, gamma, alpha), expected, rtol=1e-5)


@pytest.mark.both_generations
def test_keras_categorical_focal_loss_is_the_same(batch):
    labels, logits = batch
    alpha = [0.5, 2.0, 0.1, 1.0]
    theirs = keras.losses.CategoricalFocalCrossentropy(alpha=alpha, gamma=1.5, from_logits=True, reduction="none")
    ours = FocalLoss(gamma=1.5, class_weights=alpha, from_logits=True, reduction="none")
    np.testing.assert_allclose(ours(labels, logits), theirs(np.eye(4, dtype="float32")[labels], logits), rtol=1e-4)


@pytest.mark.both_generations
def test_tensorflow_addons_sigmoid_focal_loss_is_the_same():
    addons = pytest.importorskip("tensorflow_addons")
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(0, 2, (9, 1)).astype(np.float32), rng.integers(0, 2, (9, 1))
    theirs = addons.losses.SigmoidFocalCrossEntropy(alpha=0.25, gamma=2.0, from_logits=True)(labels, logits)
    np.testing.assert_allclose(focal_loss(labels, logits, 2.0, [0.75, 0.25], from_logits=True), theirs, rtol=1e-4)


def test_gamma_zero_is_the_cross_entropy_exactly(batch):
    labels, logits = batch
    labels[:2] = 0  # two samples with p = 1; the other classes' gradients of the second are not 0
    logits[:2] = [200.0, 0.0, 0.0, 0.0], [17.5, 0.0, 0.0, 0.0]
    weights = [0.5, 2.0, 0.0, 1.0]
    focal = value_and_slope(lambda x: focal_loss(labels, x, 0.0, weights, from_logits=True), logits)
    plain = value_and_slope(lambda x: cost_sensitive_cross_entropy(labels, x, weights, from_logits=True), logits)
    np.testing.assert_array_equal(focal[0], plain[0])
    np.testing.assert_array_equal(focal[1], plain[1])


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("gamma", [0.0, 1e-3, 0.5, 1.0, 2.0, 80.0])
@pytest.mark.parametrize("label", [0, 1])
def test_saturated_predictions_have_finite_values_and_gradients(gamma, label, from_logits):
    for gap in (10.0, 17.0, 1e4):
        values = np.array([[gap, 0.0, -gap]], np.float32)
        values = values if from_logits else tf.nn.softmax(values).numpy()
        loss, slope = value_and_slope(lambda x, v=from_logits: focal_loss([label], x, gamma, None, v), values)
        assert np.isfinite(loss).all() and np.isfinite(slope).all()
        assert label == 0 or not from_logits or slope.any()


@settings(max_examples=30)
@given(st.floats(-8, 8), st.floats(0, 3), st.floats(0, 3))
def test_a_larger_gamma_never_makes_the_loss_larger(logit, gamma, more):
    lower = focal_loss([1], [[logit]], gamma, from_logits=True)
    higher = focal_loss([1], [[logit]], gamma + more, from_logits=True)
    assert 0.0 <= float(higher[0]) <= float(lower[0]) * (1 + 1e-5)
