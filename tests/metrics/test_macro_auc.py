import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from care_tf.errors import InputError
from care_tf.metrics import MacroAUC

pytestmark = pytest.mark.one_generation  # but for what meets Keras


def _result(metric, labels, predictions, batch=17, weights=None):
    for start in range(0, len(labels), batch):
        part = slice(start, start + batch)
        metric.update_state(labels[part], predictions[part], None if weights is None else weights[part])
    return float(metric.result())


def _expected(labels, scores, weights=None):
    """scikit-learn's AUC per class, averaged over the classes it is defined for."""
    found = [
        roc_auc_score(labels == c, scores[:, c], sample_weight=weights)
        for c in range(scores.shape[1])
        if 0 < (labels == c).sum() < len(labels)
    ]
    return np.mean(found) if found else 0.0


# oracle


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(1, 40), st.booleans(), st.booleans())
def test_equals_scikit_learn(seed, num_classes, n, has_ties, has_weights):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, n)
    scores = rng.dirichlet(np.ones(num_classes), n).astype(np.float32)
    scores = np.round(scores, 1) if has_ties else scores
    weights = rng.uniform(0.1, 2.0, n).astype(np.float32) if has_weights else None
    result = _result(MacroAUC(num_classes), labels, scores, weights=weights)
    assert result == pytest.approx(_expected(labels, scores, weights), abs=1e-6)


def test_is_exact_where_buckets_are_not():
    labels = np.array([0, 1] * 50)
    scores = 0.5 + 1e-6 * np.arange(100, dtype=np.float32)
    predictions = np.stack([1 - scores, scores], axis=1)
    assert _result(MacroAUC(2), labels, predictions) == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)


# identities


def test_logits_give_what_their_softmax_gives():
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, 3, 50), rng.normal(size=(50, 3)).astype(np.float32)
    expected = _result(MacroAUC(3), labels, tf.nn.softmax(logits).numpy())
    assert _result(MacroAUC(3, from_logits=True), labels, logits) == pytest.approx(expected, abs=1e-6)


def test_one_sigmoid_unit_and_one_hot_labels():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 50), rng.uniform(size=(50, 1)).astype(np.float32)
    expected = roc_auc_score(labels, scores[:, 0])
    assert _result(MacroAUC(2), labels, scores) == pytest.approx(expected, abs=1e-6)
    assert _result(MacroAUC(2), labels[:, np.newaxis], scores * 1e-9) == pytest.approx(expected, abs=1e-6)
    assert _result(MacroAUC(2), np.eye(2)[labels], np.hstack([1 - scores, scores])) == pytest.approx(expected, abs=1e-6)


# properties


def test_does_not_depend_on_order_or_batches():
    rng = np.random.default_rng(1)
    labels, scores = rng.integers(0, 3, 50), rng.dirichlet(np.ones(3), 50).astype(np.float32)
    order = rng.permutation(50)
    first = _result(MacroAUC(3), labels, scores, batch=50)
    assert _result(MacroAUC(3), labels[order], scores[order], batch=7) == pytest.approx(first, abs=1e-7)


@pytest.mark.both_generations
def test_reset_forgets():
    metric = MacroAUC(2)
    assert _result(metric, np.array([0, 1]), np.eye(2, dtype=np.float32)[::-1]) == 0.0
    metric.reset_state()
    assert _result(metric, np.array([0, 1]), np.eye(2, dtype=np.float32)) == 1.0


# edges


def test_without_any_defined_class_the_result_is_zero():
    assert float(MacroAUC(3).result()) == 0.0
    assert _result(MacroAUC(2), np.array([1, 1]), np.eye(2, dtype=np.float32)) == 0.0


def test_nan_predictions_show():
    assert np.isnan(_result(MacroAUC(2), np.array([0, 1]), np.float32([[np.nan, np.nan], [0.1, 0.9]])))


# errors


@pytest.mark.both_generations
def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match=r"num_classes must be an integer >= 2. Received: num_classes=1"):
        MacroAUC(1)
    with pytest.raises(InputError, match="num_classes=4, but the predictions have 3 classes"):
        MacroAUC(4).update_state([0, 1], np.zeros((2, 3), np.float32))


@pytest.mark.both_generations
def test_xla_is_refused_with_the_way_out():
    metric = MacroAUC(2)

    @tf.function(jit_compile=True, autograph=False)
    def step(labels, predictions):
        metric.update_state(labels, predictions)

    with pytest.raises(Exception, match=r"Pass jit_compile=False to model.compile"):
        step(tf.constant([0, 1]), tf.eye(2))
