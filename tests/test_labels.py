"""One meaning for every label: the rule itself, and the same labels through everything that reads them."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from marks import one_generation

from care_tf import CAREModel
from care_tf.errors import InputError
from care_tf.labels import class_index, class_rows, same_class
from care_tf.losses import CLASSIFICATION_LOSSES, EMBEDDING_LOSSES, get_classification_loss, get_embedding_loss
from care_tf.metrics import ClassRecall, MacroAUC, MeanClassAccuracy

# Labels of four images, for a classifier of so many outputs, and the classes that they mean.
CASES = {
    "integers": (3, np.array([2, 0, 1, 1]), [2, 0, 1, 1]),
    "bytes": (3, np.array([2, 0, 1, 1], np.uint8), [2, 0, 1, 1]),
    "a column": (3, np.int32([[2], [0], [1], [1]]), [2, 0, 1, 1]),
    "floats": (3, np.float32([2, 0, 1, 1]), [2, 0, 1, 1]),
    "floats off by rounding": (3, np.float32([1.9999999, 1e-7, 1.0000001, 1]), [2, 0, 1, 1]),
    "doubles off by rounding": (3, np.array([[1.9999999], [-1e-7], [1.0000001], [1]]), [2, 0, 1, 1]),
    "one-hot": (3, np.eye(3)[[2, 0, 1, 1]], [2, 0, 1, 1]),
    "soft rows": (3, np.float32([[0.1, 0.2, 0.7], [0.4, 0.3, 0.3], [0.2, 0.6, 0.2], [0, 0.5, 0.5]]), [2, 0, 1, 1]),
    "a row of zeros": (3, np.int32([[0, 0, 1], [0, 0, 0], [0, 1, 0], [0, 1, 0]]), [2, -1, 1, 1]),
    "two outputs": (2, np.float32([[1], [0], [0.9999999], [1]]), [1, 0, 1, 1]),
    "one unit": (1, np.array([1, 0, 1, 1]), [1, 0, 1, 1]),
    "one unit, booleans": (1, np.array([True, False, True, True]), [1, 0, 1, 1]),
    "one unit, soft": (1, np.float32([[0.5], [0.49], [0.75], [1]]), [1, 0, 1, 1]),
    "one unit, soft rows": (1, np.float32([[0.5, 0.5], [0.51, 0.49], [0.25, 0.75], [0, 1]]), [1, 0, 1, 1]),
    "one unit, a row of zeros": (1, np.float32([[0, 1], [0, 0], [0, 1], [0, 1]]), [1, -1, 1, 1]),
}
FRACTIONS = {
    "between two classes": (2, np.float32([[0.7], [0], [1], [1]]), "must be a whole number, the class. Received 0.7"),
    "too far from a class": (
        3,
        np.float32([1.999, 0, 0.001, 1]),
        r"Received 1.999, 0.001 \(2 such labels\). Write soft",
    ),
    "no number": (3, np.float32([np.nan, 0, 1, 1]), "Received nan"),
}
OUTSIDE = {
    "below the classes": (3, np.array([-1, 0, 1, 1])),
    "above the classes": (3, np.array([3, 0, 1, 1])),
    "above one unit": (1, np.array([2, 0, 1, 1])),
    "below one unit": (1, np.float32([-0.5, 0, 1, 1])),
}
of_every_case = pytest.mark.parametrize(("num_outputs", "labels", "classes"), CASES.values(), ids=CASES)
of_every_fraction = pytest.mark.parametrize(("num_outputs", "labels", "message"), FRACTIONS.values(), ids=FRACTIONS)

RNG = np.random.default_rng(0)
EMBEDDINGS = RNG.normal(size=(4, 5)).astype(np.float32)
IMAGES = {"image": RNG.random((4, 12, 12, 3)).astype(np.float32), "mask": np.zeros((4, 12, 12, 1), np.float32)}
IMAGES["mask"][:, 3:7, 2:8] = 1


# Probabilities of the four images for a classifier of so many outputs.
PREDICTIONS = {
    1: np.float32([[0.9], [0.45], [0.2], [0.8]]),
    2: np.float32([[0.1, 0.9], [0.55, 0.45], [0.8, 0.2], [0.2, 0.8]]),
    3: np.float32([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1]]),
}


@functools.cache
def care_model(num_outputs):
    from classifiers import BUILDERS

    classifier = BUILDERS["functional"](num_outputs, "sigmoid" if num_outputs == 1 else "softmax")
    model = CAREModel(classifier, alpha=0.5, embedding_loss=get_embedding_loss("contrastive"))
    model.compile("sgd", lambda y_true, y_pred: tf.zeros(tf.shape(y_pred)[:1]), run_eagerly=True)
    return model


def classification_loss(name, labels, num_outputs):
    loss = get_classification_loss(name, [8, 4, 2][: max(num_outputs, 2)])
    return loss(tf.constant(labels), PREDICTIONS[num_outputs])


def metric_result(make, labels, num_outputs, images=slice(None)):
    metric = make(max(num_outputs, 2))
    metric.update_state(tf.constant(labels), PREDICTIONS[num_outputs][images])
    return metric.result()


def model_losses(labels, num_outputs, images=IMAGES):
    model = care_model(num_outputs)
    model.reset_metrics()
    logs = model.test_step((images, tf.constant(labels)))
    return float(logs["attention_loss"]), float(logs["embedding_loss"])


LOSSES = {name: functools.partial(classification_loss, name) for name in CLASSIFICATION_LOSSES}
METRICS = {
    "mean class accuracy": functools.partial(metric_result, MeanClassAccuracy),
    "recall of class 0": functools.partial(metric_result, lambda _: ClassRecall(0)),
    "recall of class 1": functools.partial(metric_result, lambda _: ClassRecall(1)),
    "macro AUC": functools.partial(metric_result, MacroAUC),
}
USERS = {**LOSSES, **METRICS, "CAREModel": model_losses}


@functools.cache
def of_classes(user, num_outputs, *classes):
    return np.asarray(USERS[user](rows_of(classes, num_outputs), num_outputs))


of_every_user = pytest.mark.parametrize("user", USERS)


def rows_of(classes, num_outputs):
    """One-hot rows, of zeros for -1."""
    return np.float32([[label == column for column in range(max(num_outputs, 2))] for label in classes])


def written_as_rows(num_outputs, labels, classes):
    """What the labels are as class values: rows as they are, (1 - p, p) of one unit, else one-hot."""
    if labels.ndim == 2 and labels.shape[1] > 1:
        return np.float32(labels)
    if num_outputs == 1:
        return np.float32([[1 - value, value] for value in labels.astype(np.float32).ravel()])
    return rows_of(classes, num_outputs)


# oracle


@of_every_case
@pytest.mark.parametrize("is_compiled", [False, *one_generation(True)])
def test_a_label_means_its_class(num_outputs, labels, classes, is_compiled):
    def read(values):
        return class_index(values, num_outputs), class_rows(values, num_outputs)

    index, rows = (tf.function(read, jit_compile=True) if is_compiled else read)(tf.constant(labels))
    assert index.numpy().tolist() == classes
    np.testing.assert_array_equal(rows, written_as_rows(num_outputs, labels, classes))


def test_without_a_number_of_classes_any_whole_number_names_one():
    same, both = same_class([2**40, 2**40 + 1, -3, -3])
    assert both.numpy().all() and same.numpy().sum() == 6 and same[2, 3]
    same, both = same_class([[0.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    assert np.argwhere(same).tolist() == np.argwhere(both).tolist() == [[1, 1]]


# identities


@of_every_user
@of_every_case
def test_everything_that_reads_a_label_reads_the_same(user, num_outputs, labels, classes):
    expected = of_classes(user, num_outputs, *classes)
    if user in LOSSES:  # which keep soft labels
        expected = USERS[user](written_as_rows(num_outputs, labels, classes), num_outputs)
    np.testing.assert_allclose(USERS[user](labels, num_outputs), expected, rtol=1e-6)
    # The user does read labels: two other ways to class the images are not both taken for this one.
    others = ([*classes[1:], classes[0]], [0 if label == 1 else 1 for label in classes])
    differences = [np.abs(of_classes(user, num_outputs, *other) - expected) for other in others]
    assert (np.max(differences, axis=0) > 1e-4).all()


@pytest.mark.parametrize("name", EMBEDDING_LOSSES)
@pytest.mark.parametrize("case", [case for case, (num_outputs, *_) in CASES.items() if num_outputs > 1])
def test_every_embedding_loss_reads_the_same(name, case):
    _, labels, classes = CASES[case]
    kept = np.array(classes) >= 0
    loss = get_embedding_loss(name)
    expected = loss(np.array(classes)[kept], EMBEDDINGS[kept])
    np.testing.assert_allclose(loss(tf.constant(labels), EMBEDDINGS), expected, rtol=1e-6)


# properties: an image of no class counts for nothing


@pytest.mark.parametrize("user", METRICS)
@pytest.mark.parametrize("num_outputs", [3, 2, 1])
def test_no_class_is_no_count(user, num_outputs):
    rows = rows_of([-1, 0, 1, 1], num_outputs)
    without = METRICS[user](rows[1:], num_outputs, images=slice(1, None))
    assert METRICS[user](rows, num_outputs) == without > 0


@pytest.mark.parametrize("name", CLASSIFICATION_LOSSES)
@pytest.mark.parametrize("num_outputs", [3, 1])
def test_no_class_is_no_loss_and_no_gradient(name, num_outputs):
    loss = get_classification_loss(name, [8, 4, 2][: max(num_outputs, 2)])
    given = tf.constant(PREDICTIONS[num_outputs])
    with tf.GradientTape() as tape:
        tape.watch(given)
        value = loss(rows_of([-1] * 4, num_outputs), given)
    assert float(value) == 0.0 and not tape.gradient(value, given).numpy().any()


@pytest.mark.parametrize("name", EMBEDDING_LOSSES)
def test_no_class_is_no_pair_and_no_gradient(name):
    embeddings = tf.constant(np.random.default_rng(3).normal(size=(6, 5)).astype(np.float32))
    loss, kept = get_embedding_loss(name), [0, 2, 3, 4]
    with tf.GradientTape() as tape:
        tape.watch(embeddings)
        value = loss(rows_of([1, -1, 0, 0, 1, -1], 3), embeddings)
    np.testing.assert_allclose(value, loss([1, 0, 0, 1], tf.gather(embeddings, kept)), rtol=1e-6)
    slope = tape.gradient(value, embeddings).numpy()
    assert not slope[[1, 5]].any() and slope[kept].any()


@pytest.mark.parametrize("num_outputs", [3, 1])
def test_no_class_is_no_attention(num_outputs):
    attention, _ = model_losses(rows_of([1, -1, 0, 1], num_outputs), num_outputs)
    without_mask = {**IMAGES, "mask": IMAGES["mask"] * np.float32([1, 0, 1, 1])[:, None, None, None]}
    expected, _ = model_losses(rows_of([1, 0, 0, 1], num_outputs), num_outputs, without_mask)
    assert attention == pytest.approx(expected, abs=1e-6)


# edges: a number that names no class


@pytest.mark.parametrize(("num_outputs", "labels"), OUTSIDE.values(), ids=OUTSIDE)
@pytest.mark.parametrize("is_compiled", [False, *one_generation(True)])
def test_a_number_outside_the_classes_is_no_class_and_not_a_number(num_outputs, labels, is_compiled):
    check_no_class(tf.function if is_compiled else lambda f: f, num_outputs, labels)


@pytest.mark.parametrize("case", FRACTIONS)
def test_a_graph_takes_a_fraction_for_no_class(case):
    num_outputs, labels, _ = FRACTIONS[case]
    check_no_class(tf.function, num_outputs, labels)
    metric = MeanClassAccuracy(num_outputs)

    @tf.function
    def update(written):
        metric.update_state(written, PREDICTIONS[num_outputs])

    with pytest.raises(tf.errors.InvalidArgumentError, match="class indices must lie in"):
        update(tf.constant(labels))


def check_no_class(compiled, num_outputs, labels):
    labels = tf.constant(labels)
    assert compiled(lambda y: class_index(y, num_outputs))(labels)[0] == -1
    rows = compiled(lambda y: class_rows(y, num_outputs))(labels).numpy()
    assert np.isnan(rows[0]).all() and rows[1, 0] == 1


# errors


@of_every_user
@of_every_fraction
def test_fractions_among_integers_are_refused_by_all(user, num_outputs, labels, message):
    with pytest.raises(InputError, match=message):
        USERS[user](labels, num_outputs)


@pytest.mark.parametrize("name", EMBEDDING_LOSSES)
def test_embedding_losses_refuse_fractions(name):
    with pytest.raises(InputError, match="must be a whole number, the class. Received 0.7"):
        get_embedding_loss(name)(np.float32([[0.7], [0], [1], [1]]), EMBEDDINGS)


@pytest.mark.parametrize("shape", [(4, 5), (4, 3, 1), ()])
@pytest.mark.parametrize("read", [class_index, class_rows])
def test_labels_of_another_shape_are_refused(read, shape):
    with pytest.raises(InputError, match=r"Labels must be integers .* class values of shape \(batch, 3\).*Received"):
        read(np.zeros(shape), 3)
    with pytest.raises(InputError, match=r"class values of shape \(batch, 2\)"):
        read(np.zeros((4, 3)), 1)


@pytest.mark.parametrize("shape", [(), (2, 3, 1)])
def test_labels_of_another_shape_are_refused_without_a_number_of_classes(shape):
    with pytest.raises(InputError, match=r"class values of shape \(batch, classes\).*Received shape"):
        same_class(np.zeros(shape, np.int32))
