"""When `FiniteLoss` stops a run, and what it says; the oracle of a batch's loss are batches with known losses."""

import contextlib
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from care_tf import CAREModel
from care_tf.callbacks import FiniteLoss
from care_tf.errors import InputError
from care_tf.losses import OutsidePerturbation
from care_tf.runs._epoch_lines import EpochLines

SETTINGS = dict(batch_size=16, verbose=0, shuffle=False)


def model_for(network, optimizer="adam", run_eagerly=False):
    model = CAREModel(network(), alpha=0.6)
    model.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=run_eagerly)
    return model


def test_a_loss_that_is_not_a_number_stops_the_run(network, images):
    image, labels, mask = images
    weights = np.ones(16, np.float32)
    weights[9] = np.nan
    model, finite = (
        model_for(network, run_eagerly=True),
        FiniteLoss(images_of=lambda epoch, batch: [f"{epoch}-{batch}.png"]),
    )
    before = model.get_weights()
    settings = SETTINGS | {"batch_size": 8, "sample_weight": weights, "callbacks": [finite]}
    with pytest.raises(InputError, match="nan at epoch 1, batch 2 .classification_loss.*0-1.png.*learning rate"):
        model.fit({"image": image, "mask": mask}, labels, **settings)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.one_generation
def test_what_was_not_measured_is_not_blamed(network, images):
    image, labels, mask = images
    model = CAREModel(network(), alpha=0.0, attention_loss=OutsidePerturbation())
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    x, weights = {"image": image, "mask": mask}, np.full(16, np.nan, np.float32)
    with pytest.raises(InputError, match=r"nan at epoch 1, batch 1 \(classification_loss\)\."):
        model.fit(x, labels, sample_weight=weights, callbacks=[FiniteLoss()], **SETTINGS)


@pytest.mark.one_generation
@pytest.mark.parametrize("term", ["mask_loss", "embedding_loss"])
def test_a_term_of_its_own_is_blamed(network, term):
    finite = FiniteLoss()
    finite.set_model(model_for(network, run_eagerly=True))
    finite.on_epoch_begin(0)
    finite.on_train_batch_begin(2)
    logs = {"loss": np.nan, "classification_loss": 1.0, "attention_loss": 1.0, term: np.nan}
    with pytest.raises(InputError, match=rf"nan at epoch 1, batch 3 \({term}\)\."):
        finite.on_train_batch_end(2, logs)


class Given(keras.losses.Loss):
    """The labels are the losses, whatever is predicted."""

    def call(self, y_true, y_pred):
        return y_true[:, 0] + 0.0 * y_pred[:, 0]


def fit_given(batches, epochs=1, steps_per_execution=1, **arguments):
    """Trains on batches of known losses, each a list of one per image."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", Given(), steps_per_execution=steps_per_execution)
    rows = tf.RaggedTensor.from_row_lengths(np.concatenate(batches).astype(np.float32), [len(each) for each in batches])
    data = tf.data.Dataset.from_tensor_slices(rows).map(lambda losses: (tf.zeros_like(losses), losses))
    data = data.map(lambda x, y: (x[:, None], y[:, None]))
    model.fit(
        data, epochs=epochs, verbose=0, shuffle=False, callbacks=[FiniteLoss(lambda _, b: [f"{b}.png"], **arguments)]
    )


LATE = [*[[1.0]] * 290, [2e6], *[[1.0]] * 5]  # to which the running mean is below 7,000


@pytest.mark.parametrize(
    ("batches", "settings", "says"),
    [
        (LATE, {}, r"became 2e\+06 at epoch 1, batch 291 \(loss\), with the images 290.png\. .*raise largest_loss"),
        ([[9e5] * 4, [-9e5] * 4, [9e5] * 4, [9e5]], {"epochs": 2}, None),
        ([[1.0] * 4, [0.0, 0.0, 2e6, 4e6], [9e6] * 4], {}, r"became 1\.5e\+06 at epoch 1, batch 2 .* 1.png\."),
        ([[1.0] * 4, [1.0] * 4, [1.5e6]], {}, r"became 1\.5e\+06 at epoch 1, batch 3 .* 2.png\."),  # smaller, the last
        ([[1.0], [1.0] * 9, [-1.01e6]], {}, r"became -1\.01e\+06 at epoch 1, batch 3 "),
        (
            [[1.0]] * 3 + [[np.nan]] + [[1.0]],
            {"steps_per_execution": 2},
            r"nan at .*, batches 3 to 4 .* 2.png; 3.png\.",
        ),
        ([[1.0]] * 4 + [[0.0], [3e6]], {"steps_per_execution": 2}, r"1\.5e\+06 at epoch 1, batches 5 to 6 "),
        ([[1.0], [50.0], [1.0]], {"largest_loss": 49.0}, r"became 50 at epoch 1, batch 2 "),
        ([[1.0], [1e30], [1.0]], {"largest_loss": None}, None),
        ([[1.0], [np.inf], [1.0]], {"largest_loss": None}, r"became inf at epoch 1, batch 2 .* NaN\.$"),
    ],
)
def test_a_batch_is_judged_by_its_own_loss(batches, settings, says):
    with pytest.raises(InputError, match=says) if says else contextlib.nullcontext():
        fit_given(batches, **settings)


def test_a_batch_is_judged_by_its_own_terms(network, images):
    image, labels, mask = images
    model = model_for(network, keras.optimizers.SGD(0.0))
    weights = np.ones(16, np.float32)
    weights[15] = 1e9
    batch = {"image": image, "mask": mask}
    third = slice(12, 16)
    rows = {"x": {name: each[third] for name, each in batch.items()}, "y": labels[third]}
    expected = model.train_on_batch(**rows, sample_weight=weights[third], return_dict=True)["loss"]
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    with pytest.raises(InputError, match=r"at epoch 1, batch 3 \(classification_loss\)\.") as refused:
        model.fit(
            batch, labels, batch_size=6, sample_weight=weights, callbacks=[FiniteLoss()], verbose=0, shuffle=False
        )
    assert float(str(refused.value).split()[3]) == pytest.approx(expected, rel=1e-4)


def test_a_loss_that_no_metric_averages_is_taken_as_it_is():
    class Own(keras.Model):
        def train_step(self, data):
            x, y = data
            return {"loss": tf.reduce_mean(y) + 0.0 * tf.reduce_sum(self(x))}

    inputs = keras.Input((1,))
    model = Own(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd")
    y = np.array([[1.0], [1.0], [2e6], [1.0]], np.float32)
    with pytest.raises(InputError, match=r"became 2e\+06 at epoch 1, batch 3 "):
        model.fit(np.zeros_like(y), y, batch_size=1, verbose=0, shuffle=False, callbacks=[FiniteLoss()])


def test_a_loss_that_explodes_stops_the_run_with_the_weights_from_before():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(64, 3)), random.normal(size=(64, 1))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(2.0), "mse")
    before = model.get_weights()
    with pytest.raises(
        InputError, match=r"The loss became \d+\.?\d*(e\+\d+)? at epoch 1, batch \d+ \(loss\)\. .*Lower"
    ):
        model.fit(x, y, batch_size=1, verbose=0, shuffle=False, callbacks=[FiniteLoss(largest_loss=1e4)])
    for found, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.one_generation
@pytest.mark.parametrize("limit", [0, -1.0, float("nan")])
def test_a_limit_that_is_not_above_0_is_refused(limit):
    with pytest.raises(InputError, match="must be above 0, or None. Received largest_loss="):
        FiniteLoss(largest_loss=limit)


def test_weights_that_are_not_numbers_are_told_and_stop_the_run(network, images):
    image, labels, mask = images
    model = model_for(network, run_eagerly=True)
    kernel = model.classifier.layers[1].kernel

    def spoil(batch, logs):
        kernel.assign(kernel + np.inf)

    batches = {"x": {"image": image[:8], "mask": mask[:8]}, "y": labels[:8], "batch_size": 8, "verbose": 0}
    spoiling = keras.callbacks.LambdaCallback(on_train_batch_end=spoil)  # after the only batch, whose loss is finite
    with (
        pytest.warns(UserWarning, match="^1 weights are NaN or infinite after epoch 1, first .*kernel.*Check"),
        pytest.raises(InputError, match="1 weights became NaN or infinite in epoch 1, first .*kernel.*clip gradients"),
    ):
        model.fit(**batches, callbacks=[spoiling, FiniteLoss()])


@pytest.fixture
def reads(monkeypatch):
    """Counts what is read from the device, by whomever."""
    tensor = type(tf.constant(0.0)).__mro__[1]
    real, counted = tensor._numpy, []
    monkeypatch.setattr(tensor, "_numpy", lambda self: counted.append(self) or real(self))
    return counted


def test_a_batch_costs_one_read_of_the_device(network, images, reads, capsys):
    stage = SimpleNamespace(name="all", epochs=1, reuse=None)
    image, labels, mask = images
    model = model_for(network)

    def reads_of(num_batches, *callbacks):
        del reads[:]
        rows = slice(0, 2 * num_batches)
        x = {"image": image[rows], "mask": mask[rows]}
        model.fit(x, labels[rows], **SETTINGS | {"batch_size": 2}, callbacks=list(callbacks))
        return len(reads)

    reads_of(1)  # what is read while the step is traced
    kinds = ((), (FiniteLoss(),), (FiniteLoss(), EpochLines([stage], 0)))  # those of Keras alone, and those of a run
    alone, with_it, of_a_run = (reads_of(8, *callbacks) - reads_of(3, *callbacks) for callbacks in kinds)
    assert with_it == of_a_run == alone + 5
    assert "all 1/1  loss" in capsys.readouterr().out
