"""Labels of no class, and a full memory, are told in a sentence: before training where y is in memory."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from care_tf import CAREModel
from care_tf.callbacks import FiniteLoss
from care_tf.device_memory import full_memory_named
from care_tf.errors import InputError
from care_tf.keras_generation import number_in
from care_tf.losses import FocalLoss
from care_tf.model._label_range import LabelWatch, check_label_range, counts_classes, label_range_named


@pytest.mark.parametrize(
    ("labels", "num_outputs", "message"),
    [
        ([0, 1, 3], 3, "0 to 2 for a model of 3 classes. Received 3 .row 2; 1 rows"),
        ([[0], [-1]], 3, "Received -1 .row 1"),
        ([0.0, 1.5], 1, "0 to 1 for a model of 2 classes. Received 1.5"),
        ([0.0, 0.5, 1.5], 2, "Received 0.5 .row 1; 2 rows"),
        ([2.0, np.nan], 3, "Received nan .row 1; 1 rows"),
        ([[1.0], [np.nan]], 1, "Received nan .row 1"),
        ([0, 1, 2], 3, None),
        ([1.9999999, 0.0], 3, None),
        ([0.5, 1.0], 1, None),
        (np.eye(3), 3, None),
        ([0, 9], None, None),
        (["a", "b"], 2, None),
        (None, 2, None),
    ],
)
def test_labels_in_memory_are_looked_at(labels, num_outputs, message):
    if message is None:
        check_label_range(labels, None, num_outputs)
    else:
        with pytest.raises(InputError, match=message):
            check_label_range(labels, None, num_outputs)


def test_a_loss_that_may_take_other_labels_is_left_alone():
    crossentropy = keras.losses.SparseCategoricalCrossentropy
    assert counts_classes("sparse_categorical_crossentropy") and counts_classes(crossentropy())
    assert counts_classes(keras.losses.sparse_categorical_crossentropy) and counts_classes("bce")
    assert counts_classes(FocalLoss())
    assert not counts_classes("hinge") and not counts_classes(crossentropy(ignore_class=-1))


class MaskedSparseCategoricalCrossentropy(keras.losses.Loss):
    """Leaves images of class -1 out."""

    def call(self, y_true, y_pred):
        y_true = tf.cast(tf.reshape(y_true, (-1,)), tf.int32)
        losses = keras.losses.sparse_categorical_crossentropy(tf.maximum(y_true, 0), y_pred)
        return tf.where(y_true < 0, 0.0, losses)


def masked_crossentropy(y_true, y_pred):
    return MaskedSparseCategoricalCrossentropy(reduction="none")(y_true, y_pred)


@pytest.mark.parametrize("loss", [MaskedSparseCategoricalCrossentropy(), masked_crossentropy])
def test_a_loss_of_ones_own_takes_what_it_likes_whatever_its_name(images, loss):
    from classifiers import functional

    image, labels, _ = images
    model = CAREModel(functional(), alpha=0.0)
    model.compile("sgd", loss, run_eagerly=True)
    history = model.fit(image, np.where(labels == 0, -1, labels), batch_size=8, verbose=0).history
    assert np.isfinite(history["loss"][0]) and history["loss"][0] > 0


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


@pytest.mark.parametrize("further", [(), (np.ones(16),)])
def test_validation_labels_in_memory_are_looked_at_before_training(images, further):
    from classifiers import functional

    image, labels, _ = images
    model = CAREModel(functional(), alpha=0.0)
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    wrong = np.where(np.arange(len(labels)) == 9, 7, labels)
    with pytest.raises(InputError, match="Received 7 .row 9 of validation_data; 1 rows are such"):
        model.fit(image, labels, validation_data=(image, wrong, *further), verbose=0)
    with pytest.raises(InputError, match="Received 7 .row 9; 1 rows are such"):
        model.fit(image, wrong, validation_split=0.5, verbose=0)
    assert number_in(model.optimizer.iterations) == 0


def compiled_by_xla():
    from classifiers import functional

    model = CAREModel(functional(), alpha=0.0)
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
    return model


def batches_of(image, labels):
    return tf.data.Dataset.from_tensor_slices((image, labels)).batch(8)


def with_wrong(labels, wrong):
    """One label of every eight is wrong."""
    return np.where(np.arange(len(labels)) % 8 == 5, wrong, labels).astype("float32")


class CountsEpochs(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.epochs = 0

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1


@pytest.mark.parametrize(("wrong", "has_masks"), [(7, False), (-1, True), (np.nan, False), (0.5, False)])
def test_what_xla_makes_nan_of_becomes_a_sentence(images, wrong, has_masks):
    image, labels, masks = images
    model, later = compiled_by_xla(), CountsEpochs()
    batches = batches_of({"image": image, "mask": masks} if has_masks else image, with_wrong(labels, wrong))
    steps = len(batches)
    message = rf"0 to 2 for a model of 3 classes. Received {steps} labels that are none .after {steps} training steps"
    with pytest.raises(InputError, match=message):
        model.fit(batches, epochs=3, verbose=0, callbacks=[later])
    assert later.epochs == 0  # callbacks that save models come later
    with pytest.raises(InputError, match=f"Received {steps} labels that are none"):
        model.evaluate(batches, verbose=0)


def test_wrong_validation_labels_and_a_list_of_callbacks(images):
    image, labels, _ = images
    model = compiled_by_xla()
    right, wrong = batches_of(image, labels.astype("float32")), batches_of(image, with_wrong(labels, 7))
    with pytest.raises(InputError, match=f"Received {len(wrong)} labels that are none"):
        model.fit(right, validation_data=wrong, verbose=0)
    assert np.isfinite(model.fit(right, validation_data=right, verbose=0).history["val_loss"])  # counts begin anew
    with pytest.raises(InputError, match=f"Received {len(wrong)} labels that are none"):
        model.fit(wrong, verbose=0, callbacks=keras.callbacks.CallbackList([], model=model))


def test_a_callback_that_meets_the_nan_first_does_not_hide_the_labels(images):
    image, labels, _ = images
    model = compiled_by_xla()
    with pytest.raises(InputError, match="Received 1 labels that are none .after 1 training steps"):
        model.fit(batches_of(image, with_wrong(labels, 7)), verbose=0, callbacks=[FiniteLoss()])
    with pytest.raises(InputError, match="Lower the learning rate"):
        model.fit(batches_of(image * np.nan, labels.astype("float32")), verbose=0, callbacks=[FiniteLoss()])


def test_rows_of_class_values_and_losses_that_take_other_labels_are_not_counted(images):
    from classifiers import functional

    image, labels, _ = images
    model = CAREModel(functional(), alpha=0.0)
    model.compile("sgd", "categorical_crossentropy", jit_compile=False)
    model.fit(batches_of(image, 0.5 * np.eye(3)[labels]), verbose=0)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(ignore_class=-1), jit_compile=False)
    model.fit(batches_of(image, np.where(labels == 0, -1, labels)), verbose=0)


def test_labels_of_images_that_weigh_nothing_are_not_counted(images):
    from classifiers import functional

    image, labels, _ = images
    unlabeled = np.arange(len(labels)) % 4 == 3
    model = CAREModel(functional(num_outputs=1, activation="sigmoid"), alpha=0.0)
    model.compile("sgd", "binary_crossentropy", jit_compile=False)
    y, weights = np.where(unlabeled, -1.0, labels > 1).astype("float32"), (~unlabeled).astype("float32")
    batches = tf.data.Dataset.from_tensor_slices((image, y, weights)).batch(4)
    assert np.isfinite(model.fit(batches, verbose=0).history["loss"][0])
    in_memory = {"sample_weight": weights, "batch_size": 4, "verbose": 0}
    history = model.fit(image, y, validation_data=(image, y, weights), **in_memory).history
    assert np.isfinite([history["loss"][0], history["val_loss"][0], model.evaluate(image, y, **in_memory)[0]]).all()
    with pytest.raises(InputError, match="Received -1.0 .row 3; 4 rows are such"):
        model.fit(image, y, **in_memory | {"sample_weight": weights[:, None] + 1})
    with pytest.raises(InputError, match="labels that are none"):
        model.fit(tf.data.Dataset.from_tensor_slices((image, y, weights + 1)).batch(4), verbose=0)


def test_what_single_steps_counted_is_not_of_the_next_fit(images):
    image, labels, _ = images
    model = compiled_by_xla()
    model.test_on_batch(image, with_wrong(labels, 7))
    assert np.isfinite(model.fit(batches_of(image, labels.astype("float32")), verbose=0).history["loss"][0])


def test_other_errors_of_tensorflow_are_left_alone():
    with pytest.raises(tf.errors.InvalidArgumentError), label_range_named(keras.Model(), LabelWatch()):
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
