"""What every classification loss promises Keras, as one table, and the losses by name."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from marks import one_generation

from care_tf.errors import InputError
from care_tf.losses import (
    CLASSIFICATION_LOSSES,
    CostSensitiveCrossEntropy,
    FocalLoss,
    LDAMLoss,
    LogitAdjustedLoss,
    cost_sensitive_cross_entropy,
    focal_loss,
    get_classification_loss,
    ldam_loss,
    logit_adjusted_loss,
)

COUNTS = [70, 25, 5]
WEIGHTS = [0.5, 1.0, 3.0]
LOSSES = {
    "cross_entropy": (CostSensitiveCrossEntropy, cost_sensitive_cross_entropy, {}),
    "focal": (FocalLoss, focal_loss, {"gamma": 0.5}),
    "ldam": (LDAMLoss, ldam_loss, {"class_counts": COUNTS, "max_margin": 0.7, "scale": 2.0}),
    "logit_adjustment": (LogitAdjustedLoss, logit_adjusted_loss, {"class_counts": COUNTS, "tau": 1.5}),
}


# Where Keras may differ, and not the loss: one of them on the second generation.
one_of_them = pytest.mark.parametrize(
    "parts", ["ldam", *one_generation("cross_entropy", "focal", "logit_adjustment")], indirect=True
)


@pytest.fixture(params=LOSSES)
def parts(request):
    return LOSSES[request.param]


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return rng.integers(0, 3, 8).astype(np.int32), rng.normal(0, 2, (8, 3)).astype(np.float32)


def classifier(loss, **compile_arguments):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile(keras.optimizers.SGD(0.1), loss, **compile_arguments)
    return model


def test_the_class_is_the_function(parts, batch):
    build, function, arguments = parts
    loss = build(**arguments, class_weights=WEIGHTS, from_logits=True, reduction="none")
    expected = function(batch[0], batch[1], **arguments, class_weights=WEIGHTS, from_logits=True)
    assert expected.shape == (8,) and expected.dtype == tf.float32
    np.testing.assert_array_equal(loss(*batch), expected)


@pytest.mark.one_generation
def test_without_weights_it_is_the_loss_with_ones(parts, batch):
    build, _, arguments = parts
    np.testing.assert_array_equal(build(**arguments, from_logits=True).class_weights, [1.0])
    plain = build(**arguments, from_logits=True, reduction="none")(*batch)
    ones = build(**arguments, class_weights=[1, 1, 1], from_logits=True, reduction="none")(*batch)
    np.testing.assert_array_equal(plain, ones)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(("weights", "label_shape"), [(None, "ints"), (WEIGHTS, "column"), (WEIGHTS, "rows")])
def test_graph_and_xla_equal_eager(parts, batch, jit_compile, weights, label_shape):
    build, _, arguments = parts
    labels, logits = batch
    labels = {"ints": labels, "column": labels[:, None], "rows": np.eye(3, dtype=np.float32)[labels]}[label_shape]
    loss = build(**arguments, class_weights=weights, from_logits=True, reduction="none")
    compiled = tf.function(loss, jit_compile=jit_compile)
    np.testing.assert_allclose(compiled(labels, logits), loss(labels, logits), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, *one_generation(True)])
@pytest.mark.parametrize("weights", [*one_generation(None), [1.0, 1.0, 1.0]])
@one_of_them
def test_assigned_weights_reach_a_compiled_function(parts, batch, jit_compile, weights):
    build, function, arguments = parts
    loss = build(**arguments, class_weights=weights, from_logits=True, reduction="none")
    compiled = tf.function(loss, jit_compile=jit_compile)
    before = compiled(*batch)
    loss.class_weights = WEIGHTS
    expected = function(batch[0], batch[1], **arguments, class_weights=WEIGHTS, from_logits=True)
    np.testing.assert_allclose(compiled(*batch), expected, rtol=1e-5, atol=1e-6)
    assert loss.get_config()["class_weights"] == weights
    loss.class_weights.assign(np.ones_like(before[:1] if weights is None else weights, dtype=np.float32))
    np.testing.assert_array_equal(compiled(*batch), before)


@pytest.mark.one_generation
def test_half_precision_is_computed_in_float32(parts, batch):
    build, function, arguments = parts
    labels, logits = batch[0], tf.cast(batch[1], tf.float16)
    half = function(labels, logits, **arguments, from_logits=True)
    assert half.dtype == tf.float32
    np.testing.assert_array_equal(half, function(labels, tf.cast(logits, tf.float32), **arguments, from_logits=True))
    loss = build(**arguments, from_logits=True)(labels, logits)
    assert loss.dtype == tf.float32


@pytest.mark.one_generation
def test_permuting_the_batch_permutes_the_losses(parts, batch):
    _, function, arguments = parts
    order = [3, 1, 4, 0, 2, 7, 6, 5]
    whole = function(*batch, **arguments, from_logits=True).numpy()
    np.testing.assert_array_equal(
        function(batch[0][order], batch[1][order], **arguments, from_logits=True), whole[order]
    )


@pytest.mark.one_generation
@pytest.mark.parametrize("form", ["logits", "probabilities", "one logit", "one probability", "soft"])
def test_gradients_equal_finite_differences_in_float64(parts, batch, form):
    _, function, arguments = parts
    labels, values = batch[0], batch[1].astype(np.float64)
    arguments = dict(arguments, class_weights=WEIGHTS, from_logits="logit" in form or form == "soft")
    if form.startswith("one"):
        labels, values = labels % 2, values[:, :1]
        arguments["class_weights"] = WEIGHTS[:2]
        if "class_counts" in arguments:
            arguments["class_counts"] = COUNTS[:2]
    if form == "soft":
        labels = tf.nn.softmax(values[::-1])
    if form == "probabilities":
        values = tf.nn.softmax(values).numpy()
    if form == "one probability":
        values = tf.sigmoid(values).numpy()

    def total(x):
        return tf.reduce_sum(function(labels, x, **arguments))

    x = tf.constant(values)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = total(x)
    assert loss.dtype == tf.float64
    slope = tape.gradient(loss, x).numpy()
    expected = np.zeros_like(values)
    for index in np.ndindex(values.shape):
        step = np.zeros_like(values)
        step[index] = 1e-6
        expected[index] = (total(values + step) - total(values - step)) / 2e-6
    np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("num_outputs", [1, 3])
@one_of_them
def test_the_most_wrong_sample_keeps_its_gradient_through_a_saturated_activation(parts, num_outputs):
    build, _, arguments = parts
    if num_outputs == 1 and "class_counts" in arguments:
        arguments = dict(arguments, class_counts=COUNTS[:2])
    loss = build(**arguments)

    @tf.function
    def step(logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            probability = tf.sigmoid(logits) if num_outputs == 1 else tf.nn.softmax(logits)
            value = loss(tf.constant([0]), probability)
        return probability, tape.gradient(value, logits)

    logits = tf.constant([[150.0]] if num_outputs == 1 else [[-150.0, 0.0, 150.0]])
    probability, slope = step(logits)
    assert probability[0, -1] == 1.0
    assert np.isfinite(slope).all() and slope[0, -1] >= 0.9


@pytest.mark.one_generation
def test_a_label_that_names_no_class_shows_in_the_loss(parts, batch):
    _, function, arguments = parts
    labels = np.array([3, -1, 0, 1, 2, 0, 1, 2])
    losses = function(labels, batch[1], **arguments, from_logits=True).numpy()
    assert np.isnan(losses[:2]).all() and np.isfinite(losses[2:]).all()


def test_the_loss_serializes(parts):
    build, _, arguments = parts
    for weights in (None, np.array(WEIGHTS)):
        loss = build(**arguments, class_weights=weights, from_logits=True, reduction="sum", name="mine")
        config = {**arguments, "class_weights": None if weights is None else WEIGHTS}
        assert loss.get_config() == {**config, "from_logits": True, "reduction": "sum", "name": "mine"}
        serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
        again = keras.saving.deserialize_keras_object(serialized)
        assert type(again) is build and again.get_config() == loss.get_config()
        np.testing.assert_array_equal(again.class_weights, loss.class_weights)


@one_of_them
def test_it_trains_and_comes_back_inside_a_saved_model(parts, tmp_path):
    build, _, arguments = parts
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(24, 4)).astype(np.float32), rng.integers(0, 3, 24)
    model = classifier(build(**arguments, class_weights=WEIGHTS))
    losses = model.fit(x, labels, epochs=3, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.loss.get_config() == model.loss.get_config()
    for each in (model, again):  # training goes on in the same way
        each.fit(x, labels, epochs=1, batch_size=8, shuffle=False, verbose=0)
    np.testing.assert_allclose(again.get_weights()[0], model.get_weights()[0], rtol=1e-5, atol=1e-6)


@one_of_them
def test_it_trains_under_mixed_precision(parts):
    build, _, arguments = parts
    keras.mixed_precision.set_global_policy("mixed_float16")
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(24, 4)).astype(np.float32), rng.integers(0, 3, 24)
    # A bias of -40 makes the float16 probability of class 0 exactly 0.
    model = classifier(build(**arguments))
    kernel, bias = model.get_weights()
    model.set_weights([kernel, bias - [40.0, 0.0, 0.0]])
    history = model.fit(x, labels, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(history).all() and history[1] < history[0]
    assert model.get_weights()[1][0] > -40.0


@pytest.mark.one_generation
def test_probabilities_and_one_unit_follow_the_same_rules(parts, batch):
    _, function, arguments = parts
    labels, logits = batch
    expected = function(labels, logits, **arguments, from_logits=True)
    np.testing.assert_allclose(function(labels, tf.nn.softmax(logits).numpy(), **arguments), expected, rtol=1e-4)
    if "class_counts" in arguments:
        arguments = arguments | {"class_counts": [9, 2]}
    unit = np.array([[1.5], [-0.5]], np.float32)
    columns = np.concatenate([0 * unit, unit], -1)
    one, two = (function([0, 1], values, **arguments, from_logits=True) for values in (unit, columns))
    np.testing.assert_allclose(one, two, rtol=1e-6)


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("name", "argument", "message"),
    [
        *(("focal", {"gamma": gamma}, r"gamma must be a number in \[0, inf\)") for gamma in (-1.0, float("nan"), "2")),
        ("ldam", {"class_counts": [5, 0, 1]}, "Every class needs at least one sample"),
        ("ldam", {"max_margin": -1}, r"max_margin must be a number in \[0, inf\)"),
        ("ldam", {"scale": 0.0}, r"scale must be a number in \(0, inf\)"),
        ("logit_adjustment", {"class_counts": [5, 0, 1]}, "Every class needs at least one sample"),
        ("logit_adjustment", {"tau": -1}, r"tau must be a number in \[0, inf\)"),
    ],
)
def test_arguments_outside_their_range_are_refused(name, argument, message, batch):
    build, function, arguments = LOSSES[name]
    for make in (build, lambda **given: function(*batch, **given)):
        with pytest.raises(InputError, match=message):
            make(**arguments | argument)


@pytest.mark.one_generation
@pytest.mark.parametrize("name", ["ldam", "logit_adjustment"])
def test_the_number_of_counts_must_fit(name, batch):
    with pytest.raises(InputError, match="one class count for each of 3 classes"):
        LOSSES[name][1](*batch, [5, 1])


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("cross_entropy", CostSensitiveCrossEntropy()),
        ({"name": "cross_entropy"}, CostSensitiveCrossEntropy()),
        ("focal", FocalLoss()),
        ({"name": "focal", "gamma": 0.5}, FocalLoss(gamma=0.5)),
        ("ldam", LDAMLoss(COUNTS)),
        ({"name": "ldam", "max_margin": 1, "scale": 2}, LDAMLoss(COUNTS, max_margin=1, scale=2)),
        ("balanced_softmax", LogitAdjustedLoss(COUNTS, tau=1.0)),
        ("logit_adjustment", LogitAdjustedLoss(COUNTS)),
        ({"name": "logit_adjustment", "tau": 1.5}, LogitAdjustedLoss(COUNTS, tau=1.5)),
    ],
)
def test_settings_build_the_loss_they_name(setting, expected):
    loss = get_classification_loss(setting, COUNTS)
    assert isinstance(loss, keras.losses.Loss)
    assert type(loss) is type(expected)
    assert loss.get_config() == expected.get_config() | {"class_weights": [1.0, 1.0, 1.0]}


@pytest.mark.one_generation
@pytest.mark.parametrize("name", CLASSIFICATION_LOSSES)
def test_weights_and_logits_reach_every_loss(name):
    loss = get_classification_loss(name, np.array(COUNTS), np.array([1.0, 2.0, 3.0], np.float32), from_logits=True)
    assert loss.get_config()["class_weights"] == [1.0, 2.0, 3.0] and loss.from_logits


@pytest.mark.one_generation
def test_the_setting_is_not_changed():
    setting = {"name": "focal", "gamma": 1.0}
    get_classification_loss(setting, COUNTS)
    assert setting == {"name": "focal", "gamma": 1.0}


KNOWN = "cross_entropy, focal, ldam, balanced_softmax, logit_adjustment"


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("hinge", f"classification loss must be one of {KNOWN}, .*Received 'hinge'"),
        ({"name": "hinge"}, "classification loss must be one of .*Received {'name': 'hinge'}"),
        ("focel", "Did you mean 'focal'"),
        ({"gamma": 2.0}, f"one of {KNOWN}, alone or as the name beside its arguments. Received {{'gamma': 2.0}}"),
        (None, "must be one of .*Received None"),
        ({"name": "focal", "alpha": 1}, r"'focal' are: gamma \(.*\). Received alpha"),
        ({"name": "balanced_softmax", "tau": 2}, "'balanced_softmax' are: none. Received tau"),
        (
            {"name": "ldam", "class_counts": [1, 2, 3]},
            r"'ldam' are: max_margin \(.*\), scale \(.*\). Received class_counts",
        ),
        ({"name": "focal", "gamma": -1}, r"'focal': gamma must be .*Received gamma=-1. Its arguments: gamma .*>= 0"),
        ({"name": "ldam", "scale": "big"}, "'ldam': scale must be .*Received scale='big'"),
    ],
)
def test_bad_settings_are_refused(setting, message):
    with pytest.raises(InputError, match=message):
        get_classification_loss(setting, COUNTS)


@pytest.mark.one_generation
@pytest.mark.parametrize("name", CLASSIFICATION_LOSSES)
def test_bad_counts_and_weights_are_refused(name):
    with pytest.raises(InputError, match="Every class needs at least one sample"):
        get_classification_loss(name, [3, 0, 1])
    with pytest.raises(InputError, match="one class weight for each of 3 classes. Received 2"):
        get_classification_loss(name, COUNTS, [1.0, 2.0])
    with pytest.raises(InputError, match="finite and >= 0"):
        get_classification_loss(name, COUNTS, [1.0, 2.0, -1.0])


@pytest.mark.one_generation
@pytest.mark.parametrize("values", [[1.0, 2.0], [1.0, -1.0, 2.0], 3.0])
def test_bad_weights_cannot_be_assigned(values):
    loss = FocalLoss(class_weights=WEIGHTS)
    with pytest.raises(InputError, match=r"[Cc]lass weight"):
        loss.class_weights = values
    np.testing.assert_array_equal(loss.class_weights, np.float32(WEIGHTS))
