import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from care_tf.evaluation._thresholds import ranked_calls
from care_tf.evaluation._weighted_statistics import _rank_figures, run_statistics

# oracle


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 40), st.booleans())
def test_rankings_equal_scikit_learn(seed, n, has_ties):
    rng = np.random.default_rng(seed)
    is_positive = rng.permutation(np.arange(n) < rng.integers(1, n))
    scores = rng.integers(0, 4, n).astype(float) if has_ties else rng.normal(size=n)
    weights = rng.integers(0, 4, (3, n)).astype(float)
    figures = _rank_figures(*ranked_calls(scores, is_positive)(weights), weights @ ~is_positive)
    aucs, precisions = figures["auc"], figures["average_precision"]
    for auc, precision, row in zip(aucs, precisions, weights, strict=True):
        has_positives = row[is_positive].sum() > 0
        assert np.isnan(auc) == (not has_positives or not row[~is_positive].sum())
        assert np.isnan(precision) == (not has_positives)
        if not np.isnan(auc):
            assert auc == pytest.approx(roc_auc_score(is_positive, scores, sample_weight=row))
        if has_positives:
            assert precision == pytest.approx(average_precision_score(is_positive, scores, sample_weight=row))


def test_figures_equal_scikit_learn_on_repeated_images():
    """An integer weight is that many copies of the image: the definition of a bootstrap resample."""
    rng = np.random.default_rng(0)
    labels, probabilities = rng.permutation(np.arange(60) % 3), rng.dirichlet(np.ones(3), 60)
    share = np.where(rng.uniform(size=60) < 0.5, rng.uniform(size=60), np.nan)
    weights = rng.integers(0, 3, (4, 60))
    found = run_statistics(labels, probabilities, ["a", "b", "c"], share)(weights.astype(float))
    for row, weight in enumerate(weights):
        y, p, s = (np.repeat(values, weight, axis=0) for values in (labels, probabilities, share))
        predicted = p.argmax(axis=1)
        recalls = recall_score(y, predicted, average=None)
        assert found["mean_class_accuracy"][row] == pytest.approx(balanced_accuracy_score(y, predicted))
        assert found["macro_auc"][row] == pytest.approx(
            roc_auc_score(y, p / p.sum(1, keepdims=True), multi_class="ovr")
        )
        assert found["attention_inside"][row] == pytest.approx(np.nanmean(s))
        for index, name in enumerate("abc"):
            assert found[f"recall/{name}"][row] == pytest.approx(recalls[index])
            own = (y == index, predicted == index)
            assert found[f"precision/{name}"][row] == pytest.approx(precision_score(*own))
            assert found[f"f1/{name}"][row] == pytest.approx(f1_score(*own))
            assert found[f"auc/{name}"][row] == pytest.approx(roc_auc_score(y == index, p[:, index]))
            ranked = average_precision_score(y == index, p[:, index])
            assert found[f"average_precision/{name}"][row] == pytest.approx(ranked)
            false, true, _ = roc_curve(y == index, p[:, index], drop_intermediate=False)
            assert found[f"sensitivity_at_specificity/{name}"][row] == pytest.approx(true[false <= 0.1 + 1e-12].max())
            specificity = 1 - false[true >= 0.9 - 1e-12].min()
            assert found[f"specificity_at_sensitivity/{name}"][row] == pytest.approx(specificity)
            assert found[f"attention_inside/{name}"][row] == pytest.approx(np.nanmean(s[y == index]))


# edges


def test_absent_class_is_left_out_of_the_means():
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    statistics = run_statistics(np.array([0, 1, 1, 2]), probabilities, ["a", "b", "c"])
    found = statistics(np.array([[1.0, 1.0, 1.0, 0.0]]))
    assert np.isnan(found["recall/c"]) and np.isnan(found["auc/c"])
    assert found["mean_class_accuracy"] == pytest.approx(0.75)
    assert found["macro_auc"] == pytest.approx(np.mean([found["auc/a"], found["auc/b"]]))


def test_without_boxes_attention_is_undefined():
    found = run_statistics(np.array([0, 1]), np.eye(2), ["a", "b"])(np.ones((1, 2)))
    assert np.isnan(found["attention_inside"]) and np.isnan(found["attention_inside/a"])
