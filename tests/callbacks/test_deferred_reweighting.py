import keras
import numpy as np
import pytest
from marks import one_generation

from care_tf import CAREModel
from care_tf.callbacks import DeferredReweighting
from care_tf.errors import InputError
from care_tf.losses import CostSensitiveCrossEntropy, FocalLoss, LDAMLoss

WEIGHTS = [0.4, 1.0, 4.0]


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    images = rng.random((12, 8, 8, 3)).astype(np.float32)
    masks = np.zeros((12, 8, 8, 1), np.float32)
    masks[::3, 2:6, 1:5] = 1
    return images, masks, rng.integers(0, 3, 12)


def network(has_convolution):
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 3))
    features = keras.layers.Conv2D(4, 3, activation="relu")(image) if has_convolution else image
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    return keras.Model(image, keras.layers.Dense(3, activation="softmax")(pooled))


def compiled(loss, wraps=False, run_eagerly=True, **settings):
    """Eager unless asked otherwise: a trace costs more than all steps of a test."""
    model = CAREModel(network(True), alpha=0.3) if wraps else network(False)
    settings = {"jit_compile": False, "run_eagerly": run_eagerly, **settings}
    model.compile(keras.optimizers.SGD(0.3, momentum=0.9), loss, **settings)
    return model


def fit(model, batch, initial_epoch=0, epochs=4, callbacks=()):
    images, masks, labels = batch
    x = {"image": images, "mask": masks} if isinstance(model, CAREModel) else images
    arguments = {"initial_epoch": initial_epoch, "epochs": epochs, "callbacks": list(callbacks)}
    return model.fit(x, labels, batch_size=6, shuffle=False, verbose=0, **arguments).history["loss"]


class Observed(keras.callbacks.Callback):
    """The loss's class weights in each epoch."""

    def on_train_begin(self, logs=None):
        self.weights = {}

    def on_epoch_end(self, epoch, logs=None):
        self.weights[epoch] = self.model.loss.class_weights.numpy().tolist()


def assert_equal_weights(first, second):
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("wraps", "jit_compile", "before"),
    [
        pytest.param(False, False, None, id="keras", marks=pytest.mark.one_generation),
        pytest.param(False, True, [2.0, 1.0, 1.0], id="xla"),
        pytest.param(True, False, None, id="care"),
    ],
)
def test_training_equals_two_parts_with_the_two_losses(batch, wraps, jit_compile, before):
    def loss(weights):
        return LDAMLoss([60, 30, 10], class_weights=weights)

    model = compiled(loss(before), wraps, run_eagerly=False, jit_compile=jit_compile)
    losses = fit(model, batch, callbacks=[DeferredReweighting(2, WEIGHTS)])

    by_hand = compiled(loss(before), wraps)
    expected = fit(by_hand, batch, epochs=2)
    by_hand.compile(by_hand.optimizer, loss(WEIGHTS), jit_compile=False, run_eagerly=True)
    expected += fit(by_hand, batch, initial_epoch=2)

    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    assert_equal_weights(model, by_hand)
    plain = compiled(loss(before), wraps)
    fit(plain, batch)
    changes = [np.abs(a - b).max() for a, b in zip(plain.get_weights(), model.get_weights(), strict=True)]
    assert max(changes) > 1e-3


def test_the_epoch_decides_and_fit_leaves_the_loss_as_it_was(batch):
    model, observed = compiled(FocalLoss(), run_eagerly=False), Observed()
    fit(model, batch, epochs=3, callbacks=[DeferredReweighting(1, np.array([0.5, 1.0, 4.0])), observed])
    assert observed.weights == {0: [1.0], 1: [0.5, 1.0, 4.0], 2: [0.5, 1.0, 4.0]}
    assert model.loss.class_weights.numpy().tolist() == [1.0]


@pytest.mark.parametrize("first_part", [1, *one_generation(3)])
def test_resuming_continues_as_if_there_had_been_no_break(batch, first_part):
    whole, parts = compiled(FocalLoss()), compiled(FocalLoss())
    fit(whole, batch, callbacks=[DeferredReweighting(2, WEIGHTS)])
    fit(parts, batch, epochs=first_part, callbacks=[DeferredReweighting(2, WEIGHTS)])
    fit(parts, batch, initial_epoch=first_part, callbacks=[DeferredReweighting(2, WEIGHTS)])
    assert_equal_weights(whole, parts)


def test_a_mapping_completes_the_other_classes_with_ones(batch):
    for loss, wraps in ((CostSensitiveCrossEntropy(), True), (CostSensitiveCrossEntropy([2.0, 2.0, 2.0]), False)):
        model, observed = compiled(loss, wraps), Observed()
        fit(model, batch, epochs=1, callbacks=[DeferredReweighting(0, {2: 5.0, np.int64(0): 0.5}), observed])
        assert observed.weights == {0: [0.5, 1.0, 5.0]}


class Interruption(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise KeyboardInterrupt


def test_an_interrupted_fit_does_not_become_what_the_loss_had_before(batch):
    model, callback = compiled(FocalLoss(class_weights=[1.0, 2.0, 1.0])), DeferredReweighting(0, WEIGHTS)
    with pytest.raises(KeyboardInterrupt):
        fit(model, batch, callbacks=[callback, Interruption()])
    fit(model, batch, epochs=1, callbacks=[callback])
    assert model.loss.class_weights.numpy().tolist() == [1.0, 2.0, 1.0]


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", keras.losses.SparseCategoricalCrossentropy()])
def test_a_loss_without_class_weights_is_refused(batch, loss):
    message = (
        "sets the class weights of the compiled loss. Received a model with the loss [sS]parse.*none. Compile with one "
        "of care_tf.losses: CostSensitiveCrossEntropy, FocalLoss, LDAMLoss, LogitAdjustedLoss"
    )
    with pytest.raises(InputError, match=message):
        fit(compiled(loss), batch, callbacks=[DeferredReweighting(1, WEIGHTS)])


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], "one class weight for each of 3 classes. Received 2"),
        ({3: 2.0}, r"3 classes, 0 to 2. .* for \[3\]"),
    ],
)
@pytest.mark.parametrize("loss", [FocalLoss(), FocalLoss(class_weights=WEIGHTS)], ids=["unweighted", "weighted"])
def test_weights_for_another_number_of_classes_are_refused_before_the_first_epoch(batch, weights, message, loss):
    observed = Observed()
    with pytest.raises(InputError, match=message):
        fit(compiled(loss), batch, callbacks=[observed, DeferredReweighting(99, weights)])
    assert observed.weights == {}


def test_a_mapping_needs_a_known_number_of_classes(batch):
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.layer = keras.layers.Dense(3, activation="softmax")

        def call(self, x):
            return self.layer(keras.ops.mean(x, (1, 2)) if hasattr(keras, "ops") else x[:, 0, 0])

    model = Subclassed()
    model.compile("sgd", FocalLoss())
    with pytest.raises(InputError, match="number of classes is not known from the model"):
        fit(model, batch, callbacks=[DeferredReweighting(1, {0: 2.0})])
    model.compile("sgd", FocalLoss())
    fit(model, batch, epochs=1, callbacks=[DeferredReweighting(0, WEIGHTS)])


@pytest.mark.one_generation
@pytest.mark.parametrize("start_epoch", [-1, 1.5, None, True])
def test_a_start_that_is_no_epoch_is_refused(start_epoch):
    with pytest.raises(InputError, match="start_epoch must be an integer >= 0. Received start_epoch="):
        DeferredReweighting(start_epoch, WEIGHTS)


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, -1.0], "finite and >= 0"),
        (3.0, r"must have shape \(classes,\)"),
        ({"melanoma": 2.0}, r"\{class index: weight\}, with indices from 0. Received the keys \['melanoma'\]"),
        ({-1: 2.0}, "with indices from 0"),
        ({0: -2.0}, "finite and >= 0"),
    ],
)
def test_bad_weights_are_refused(weights, message):
    with pytest.raises(InputError, match=message):
        DeferredReweighting(0, weights)
