import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from care_tf.errors import InputError
from care_tf.losses import SupervisedContrastiveLoss, supervised_contrastive_loss

FIXTURES = json.loads(Path(__file__).with_name("embedding_fixtures.json").read_text(encoding="utf-8"))


def slow_loss(labels, x, temperature):
    z = [row / np.sqrt(sum(row**2)) for row in x]
    per_anchor = []
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        positives = [j for j in others if labels[j] == labels[i]]
        if positives and len(positives) < len(others):
            total = sum(np.exp(z[i] @ z[j] / temperature) for j in others)
            per_anchor.append(-np.mean([np.log(np.exp(z[i] @ z[j] / temperature) / total) for j in positives]))
    return np.mean(per_anchor or [0])


# oracle


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 9), st.floats(0.05, 2.0))
def test_equals_slow_loops(seed, n, temperature):
    rng = np.random.default_rng(seed)
    labels, x = rng.integers(0, 3, n), rng.normal(size=(n, 3))
    expected = slow_loss(labels, x, temperature)
    np.testing.assert_allclose(supervised_contrastive_loss(labels, x, temperature), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_equals_pytorch_metric_learning(temperature):
    x = tf.constant(FIXTURES["embeddings"], tf.float64)
    expected = FIXTURES["expected"][f"supervised_contrastive_{temperature}"]
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = supervised_contrastive_loss(FIXTURES["labels"], x, temperature)
    np.testing.assert_allclose(loss, expected["value"], rtol=1e-9)
    np.testing.assert_allclose(tape.gradient(loss, x), expected["gradient"], atol=1e-7)


# identities


def test_equal_embeddings_cost_the_logarithm_of_how_many_others_there_are():
    result = supervised_contrastive_loss([0, 0, 1, 1, 1], np.ones((5, 3), np.float32))
    np.testing.assert_allclose(result, np.log(4), rtol=1e-6)


def test_separated_clusters_of_n_cost_the_logarithm_of_n_minus_one():
    labels, x = [0] * 4 + [1] * 4, np.float32([[1, 0]] * 4 + [[0, 1]] * 4)
    np.testing.assert_allclose(supervised_contrastive_loss(labels, x, 0.02), np.log(3), rtol=1e-6)


# edges


def test_a_small_temperature_does_not_overflow():
    x = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    assert np.isfinite(supervised_contrastive_loss([0, 0, 1, 1, 2, 2], x, 1e-4))


# errors


@pytest.mark.parametrize("value", [0.0, -0.1, float("nan"), "0.1"])
def test_arguments_outside_their_range_are_refused(value):
    with pytest.raises(InputError, match="temperature must be .*Received temperature="):
        SupervisedContrastiveLoss(temperature=value)
