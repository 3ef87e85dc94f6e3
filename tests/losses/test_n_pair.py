import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from care_tf.losses import n_pair_loss
from care_tf.losses._n_pair import n_pair_terms

pytestmark = pytest.mark.one_generation  # but for what meets Keras

FIXTURES = json.loads(Path(__file__).with_name("embedding_fixtures.json").read_text(encoding="utf-8"))


def slow_loss(labels, x, l2_regularization):
    per_anchor = []
    for i in range(len(x)):
        positives = [x[i] @ x[j] for j in range(len(x)) if labels[j] == labels[i] and j != i]
        negatives = [x[i] @ x[j] for j in range(len(x)) if labels[j] != labels[i]]
        if positives and negatives:
            losses = [np.log(1 + sum(np.exp(n - p) for n in negatives)) for p in positives]
            per_anchor.append(np.mean(losses) + l2_regularization * sum(x[i] ** 2))
    return np.mean(per_anchor or [0])


def loss_of_pairs(anchors, positives):
    """N-pair loss as Sohn's batches have it: one anchor and one positive of each class."""
    is_own = tf.eye(len(anchors), dtype=tf.bool)
    terms, is_valid = n_pair_terms(tf.matmul(anchors, positives, transpose_b=True), is_own, ~is_own)
    assert is_valid.numpy().all()
    return tf.reduce_mean(terms)


# oracle


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 9), st.sampled_from([0.0, 0.02]))
def test_equals_slow_loops(seed, n, l2_regularization):
    rng = np.random.default_rng(seed)
    labels, x = rng.integers(0, 3, n), rng.normal(size=(n, 3))
    expected = slow_loss(labels, x, l2_regularization)
    np.testing.assert_allclose(n_pair_loss(labels, x, l2_regularization), expected, rtol=1e-9, atol=1e-12)


def test_terms_equal_pytorch_metric_learning_on_its_pairs():
    x, expected = tf.constant(FIXTURES["embeddings"], tf.float64), FIXTURES["expected"]["n_pairs"]
    anchors, positives = np.transpose(FIXTURES["pairs"])
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = loss_of_pairs(tf.gather(x, anchors), tf.gather(x, positives))
    np.testing.assert_allclose(loss, expected["value"], rtol=1e-9)
    np.testing.assert_allclose(tf.convert_to_tensor(tape.gradient(loss, x)), expected["gradient"], atol=1e-7)


@pytest.mark.both_generations
def test_terms_equal_tensorflow_addons_on_one_pair_of_each_class():
    tfa = pytest.importorskip("tensorflow_addons")
    anchors, positives = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)
    expected = tfa.losses.npairs_loss(np.arange(5), anchors @ positives.T)
    np.testing.assert_allclose(loss_of_pairs(anchors, positives), expected, rtol=1e-5)


# identities


def test_the_whole_batch_is_the_loss_of_its_pairs_with_every_negative_twice():
    # One pair of equal examples for each class: an anchor meets both of another class, which adds log 2 to a logit.
    x = np.random.default_rng(0).normal(size=(5, 3))
    logits = x @ x.T + np.log(2) * (1 - np.eye(5))
    expected = tf.nn.sparse_softmax_cross_entropy_with_logits(np.arange(5), logits)
    np.testing.assert_allclose(n_pair_loss(np.arange(10) % 5, np.tile(x, (2, 1))), np.mean(expected), rtol=1e-9)


def test_one_negative_is_a_logistic_loss():
    x = np.random.default_rng(0).normal(size=(3, 4))
    expected = np.mean([np.logaddexp(0, x[i] @ x[2] - x[0] @ x[1]) for i in (0, 1)])
    np.testing.assert_allclose(n_pair_loss([0, 0, 1], x), expected, rtol=1e-9)


# edges


def test_long_embeddings_do_not_overflow():
    x = np.float32([[1e4, 0], [1e4, 0], [0, 1e4], [0, 1e4]])
    assert float(n_pair_loss([0, 0, 1, 1], x)) == 0.0
    np.testing.assert_allclose(n_pair_loss([0, 1, 0, 1], x), 1e8, rtol=1e-6)
