import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from care_tf.losses import contrastive_loss, get_embedding_loss
from care_tf.runs.config import load_config

pytestmark = pytest.mark.one_generation  # but for what meets Keras


def slow_loss(labels, x, margin, normalize, balance_pairs):
    if normalize:
        x = [row / np.sqrt(sum(row**2)) for row in x]
    same, different = [], []
    for i in range(len(x)):
        for j in range(i):
            distance = np.sqrt(sum((x[i] - x[j]) ** 2))
            if labels[i] == labels[j]:
                same.append(distance**2)
            else:
                different.append(max(margin - distance, 0) ** 2)
    if balance_pairs:
        return (np.mean(same or [0]) + np.mean(different or [0])) / 2
    return np.mean(same + different or [0])


# oracle


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 9), st.floats(0.1, 3.0), st.booleans(), st.booleans())
def test_equals_slow_loops(seed, n, margin, normalize, balance_pairs):
    rng = np.random.default_rng(seed)
    labels, x = rng.integers(0, 3, n), rng.normal(size=(n, 3))
    expected = slow_loss(labels, x, margin, normalize, balance_pairs)
    result = contrastive_loss(labels, x, margin, normalize, balance_pairs)
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.both_generations
def test_equals_tensorflow_addons_on_all_pairs():
    tfa = pytest.importorskip("tensorflow_addons")
    rng = np.random.default_rng(0)
    labels, x = rng.integers(0, 3, 12), rng.normal(size=(12, 4)).astype(np.float32)
    first, second = np.triu_indices(12, k=1)
    distances = np.linalg.norm(x[first] - x[second], axis=1)
    per_pair = tfa.losses.contrastive_loss(labels[first] == labels[second], distances, margin=1.7)
    result = contrastive_loss(labels, x, margin=1.7, normalize=False)
    np.testing.assert_allclose(result, np.mean(per_pair), rtol=1e-5)


def test_the_form_of_the_paper_s_footnote_is_the_mean_over_all_draws_of_as_many_unequal_pairs():
    """All pairs of one class and as many of two, margin 1, embeddings as they are: every draw, in loops."""
    setting = load_config("isic2018/siamese_footnote").stages[0].embedding_loss
    labels, x = [0, 0, 1, 1, 2], 0.6 * np.random.default_rng(0).normal(size=(5, 2))
    pairs = list(itertools.combinations(range(5), 2))
    distance = {pair: np.linalg.norm(x[pair[0]] - x[pair[1]]) for pair in pairs}
    same = [distance[i, j] ** 2 for i, j in pairs if labels[i] == labels[j]]
    different = [max(1 - distance[i, j], 0) ** 2 for i, j in pairs if labels[i] != labels[j]]
    draws = [np.mean([*same, *drawn]) for drawn in itertools.combinations(different, len(same))]
    np.testing.assert_allclose(get_embedding_loss(setting)(labels, x), np.mean(draws), rtol=1e-9)


# identities


def test_kinds_of_pairs_weigh_the_same_when_there_are_as_many():
    labels, x = [0, 0, 0, 1], np.random.default_rng(0).normal(size=(4, 3))  # three pairs each
    np.testing.assert_allclose(contrastive_loss(labels, x, balance_pairs=True), contrastive_loss(labels, x), rtol=1e-9)


# edges


def test_clusters_farther_apart_than_the_margin_cost_nothing():
    x = np.float32([[1, 0], [2, 0], [0, 1], [0, 3]])
    assert float(contrastive_loss([0, 0, 1, 1], x, margin=1.4)) == 0.0
    assert float(contrastive_loss([0, 0, 1, 1], x, margin=1.5)) > 0.0


def test_equal_embeddings_of_two_classes_cost_the_squared_margin():
    assert float(contrastive_loss([0, 1], np.ones((2, 3), np.float32), margin=0.5)) == 0.25
