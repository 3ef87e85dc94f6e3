"""Labels of no class, and a full memory, are told in a sentence: before training where y is in memory."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from care_tf import CAREModel
from care_tf.device_memory import full_memory_named
from care_tf.errors import InputError
from care_tf.model._label_range import check_label_range, counts_classes, label_range_named


@pytest.mark.parametrize(
    ("labels", "num_classes", "message"),
    [
        ([0, 1, 3], 3, "0 to 2 for a model of 3 classes. Received 3 .row 2; 1 rows"),
        ([[0], [-1]], 3, "Received -1 .row 1"),
        ([0.0, 1.5], 2, "Received 1.5"),
        ([0, 1, 2], 3, None),
        ([0.5, 1.0], 2, None),
        (np.eye(3), 3, None),
        ([0, 9], None, None),
        (["a", "b"], 2, None),
        (None, 2, None),
    ],
)
def test_labels_in_memory_are_looked_at(labels, num_classes, message):
    if message is None:
        check_label_range(labels, num_classes)
    else:
        with pytest.raises(InputError, match=message):
            check_label_range(labels, num_classes)


def test_a_loss_that_may_take_other_labels_is_left_alone():
    crossentropy = keras.losses.SparseCategoricalCrossentropy
    assert counts_classes("sparse_categorical_crossentropy") and counts_classes(crossentropy())
    assert not counts_classes("hinge") and not counts_classes(crossentropy(ignore_class=-1))


def test_tensorflows_error_becomes_a_sentence(images):
    from classifiers import functional

    image, labels, _ = images
    model = CAREModel(functional(), alpha=0.0)
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    wrong = np.where(np.arange(len(labels)) == 9, 7, labels)
    with pytest.raises(InputError, match="Received 7 .row 9; 1 rows"):
        model.fit(image, wrong, verbose=0)
    with pytest.raises(InputError, match="Received 7 .row 9"):
        model.evaluate(image, wrong, verbose=0)
    batches = tf.data.Dataset.from_tensor_slices((image, wrong)).batch(8)
    with pytest.raises(InputError, match="0 to 2 for a .* of 3 classes. Received 7 .a batch, after 1 training steps"):
        model.fit(batches, verbose=0)


def test_other_errors_of_tensorflow_are_left_alone():
    with pytest.raises(tf.errors.InvalidArgumentError), label_range_named(lambda: 0):
        raise tf.errors.InvalidArgumentError(None, None, "something else")


@pytest.mark.parametrize(
    "error",
    [
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[9]"),
        tf.errors.InternalError(None, None, "RESOURCE_EXHAUSTED: Out of memory"),
    ],
)
def test_a_full_memory_names_the_settings_to_lower(error):
    message = "Lower the batch size .training.batch_size.*precision=mixed_float16"
    with pytest.raises(InputError, match=message), full_memory_named():
        raise error


def test_other_errors_pass_the_look_at_the_memory():
    with pytest.raises(KeyError), full_memory_named():
        raise KeyError("a")
