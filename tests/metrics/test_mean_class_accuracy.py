import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, recall_score

from care_tf.errors import InputError
from care_tf.metrics import ClassRecall, MeanClassAccuracy

pytestmark = pytest.mark.one_generation  # but for what meets Keras


def _data(seed=0, n=60, num_classes=4):
    rng = np.random.default_rng(seed)
    return rng.integers(0, num_classes, n), rng.dirichlet(np.ones(num_classes), n).astype(np.float32)


def _result(metric, labels, predictions, batch=17, **weights):
    for start in range(0, len(labels), batch):
        chunk = {k: v[start : start + batch] for k, v in weights.items()}
        metric.update_state(labels[start : start + batch], predictions[start : start + batch], **chunk)
    return float(metric.result())


# oracle


@settings(max_examples=12)
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(1, 30), st.booleans())
def test_equals_scikit_learn(seed, num_classes, n, has_weights):
    rng = np.random.default_rng(seed)
    labels, predictions = _data(seed, n, num_classes)  # few images: classes are often absent
    weights = {"sample_weight": rng.uniform(0.1, 2.0, n).astype(np.float32)} if has_weights else {}
    predicted = predictions.argmax(axis=1)
    present = np.unique(labels)
    recalls = recall_score(labels, predicted, labels=present, average=None, zero_division=0, **weights)
    assert _result(MeanClassAccuracy(), labels, predictions, **weights) == pytest.approx(recalls.mean(), abs=1e-5)
    for class_id in range(num_classes):
        expected = recall_score(labels, predicted, labels=[class_id], average=None, zero_division=0, **weights)[0]
        assert _result(ClassRecall(class_id), labels, predictions, **weights) == pytest.approx(expected, abs=1e-5)


def test_equals_balanced_accuracy_score():
    labels, predictions = _data()
    expected = balanced_accuracy_score(labels, predictions.argmax(axis=1))
    assert _result(MeanClassAccuracy(), labels, predictions) == pytest.approx(expected, abs=1e-6)


# identities


@pytest.mark.parametrize("make", [MeanClassAccuracy, lambda: ClassRecall(2)])
def test_every_way_to_write_labels_gives_the_same(make):
    labels, predictions = _data()
    expected = _result(make(), labels, predictions)
    soft = 0.9 * np.eye(4)[labels] + 0.025
    for written in (labels[:, np.newaxis], labels.astype(np.float32), np.eye(4)[labels], soft, labels.tolist()):
        assert _result(make(), written, predictions) == expected


def test_one_sigmoid_unit_is_two_classes():
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, 2, 50), rng.normal(size=(50, 1)).astype(np.float32)
    expected = balanced_accuracy_score(labels, logits[:, 0] > 0)
    probabilities = 1 / (1 + np.exp(-logits))
    assert _result(MeanClassAccuracy(), labels, probabilities) == pytest.approx(expected, abs=1e-6)
    assert _result(MeanClassAccuracy(num_classes=2), labels[:, np.newaxis], probabilities[:, 0]) == pytest.approx(
        expected
    )
    assert _result(MeanClassAccuracy(from_logits=True), labels, logits) == pytest.approx(expected, abs=1e-6)
    assert _result(ClassRecall(1, from_logits=True), labels, logits) == pytest.approx(
        recall_score(labels, logits[:, 0] > 0)
    )


def test_soft_labels_of_one_sigmoid_unit_are_class_one_from_one_half():
    metric = ClassRecall(1)
    metric.update_state(np.float32([[0.5], [0.51], [0.49]]), np.float32([[0.9], [0.2], [0.9]]))
    assert float(metric.total) == 2.0
    assert float(metric.result()) == 0.5


# properties


@pytest.mark.both_generations
@pytest.mark.parametrize("make", [MeanClassAccuracy, lambda: MeanClassAccuracy(num_classes=4), lambda: ClassRecall(1)])
def test_reset_forgets(make):
    labels, predictions = _data()
    metric = make()
    _result(metric, labels, np.eye(4, dtype=np.float32)[labels])
    assert float(metric.result()) == 1.0
    metric.reset_state()
    assert float(metric.result()) == 0.0
    assert _result(metric, labels, predictions) == _result(make(), labels, predictions)


@pytest.mark.both_generations
@pytest.mark.parametrize(
    "metric",
    [MeanClassAccuracy(3, True, "mca"), ClassRecall(2, True), ClassRecall("b", class_names="abc"), MeanClassAccuracy()],
)
def test_config_mirrors_the_constructor(metric):
    restored = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert type(restored) is type(metric)
    assert restored.get_config() == metric.get_config()


@pytest.mark.both_generations
def test_state_is_float32_under_a_mixed_policy():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    metric = MeanClassAccuracy()
    for _ in range(3):  # bfloat16 stops counting at 256
        metric.update_state([1, 0] * 100, tf.constant([[0.0, 1.0], [0.0, 1.0]] * 100, tf.bfloat16))
    assert metric.total.numpy().tolist() == [300.0, 300.0]
    assert float(metric.result()) == 0.5


# edges


def test_absent_class_has_recall_zero_and_no_part_in_the_mean():
    labels, predictions = np.array([0, 0, 1]), np.eye(3, dtype=np.float32)[[0, 1, 1]]
    assert _result(ClassRecall(2), labels, predictions) == 0.0
    assert _result(MeanClassAccuracy(), labels, predictions) == 0.75


def test_before_any_data_results_are_zero():
    assert float(MeanClassAccuracy().result()) == 0.0
    assert float(ClassRecall(0).result()) == 0.0


def test_nan_predictions_are_wrong():
    metric = MeanClassAccuracy()
    metric.update_state([0, 1], [[float("nan"), 0.0], [0.0, 1.0]])
    assert float(metric.result()) == 0.5


# errors


@pytest.mark.both_generations
def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"Labels must be integers of shape \(batch,\).*Received shape \(2, 5\)"):
        MeanClassAccuracy().update_state(np.zeros((2, 5)), np.zeros((2, 3), np.float32))
    with pytest.raises(InputError, match=r"predictions must be \(batch, classes\).*\(2, 4, 4, 3\)"):
        MeanClassAccuracy().update_state([0, 1], np.zeros((2, 4, 4, 3), np.float32))
    with pytest.raises(InputError, match="num_classes=7, but the predictions have 3 classes"):
        MeanClassAccuracy(num_classes=7).update_state([0, 1], np.zeros((2, 3), np.float32))
    with pytest.raises(InputError, match=r"class_id=5\) needs predictions with at least 6 classes. Received: 3"):
        ClassRecall(5).update_state([0, 1], np.zeros((2, 3), np.float32))
    with pytest.raises(InputError, match=r"Received 'DFF' and class_names NV, DF. .* Did you mean 'DF'"):
        ClassRecall("DFF", class_names=["NV", "DF"])
    with pytest.raises(InputError, match="Received 'DF' and no class_names"):
        ClassRecall("DF")
    with pytest.raises(InputError, match="one of 2 names. Received: 2"):
        ClassRecall(2, class_names=["NV", "DF"])
    with pytest.raises(InputError, match=r"integer >= 0. Received: class_id=-1"):
        ClassRecall(-1)


@pytest.mark.parametrize("label", [-1, 3])
def test_class_index_out_of_range_is_refused(label):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"class indices must lie in \[0, 3\)"):
        MeanClassAccuracy().update_state([0, label], np.zeros((2, 3), np.float32))
