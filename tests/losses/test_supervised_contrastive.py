import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from care_tf.losses import supervised_contrastive_loss


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
