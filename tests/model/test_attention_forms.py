"""The forms of the attention loss inside CAREModel: what they train, and what they leave as it is."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from marks import one_generation

from care_tf import CAREModel
from care_tf.attention import normalize_map
from care_tf.keras_generation import tensorflow_variable
from care_tf.losses import AttentionLoss

FORMS = ("outside", "energy", "l1")
SETTINGS = dict(batch_size=8, epochs=1, verbose=0, shuffle=False)
# Where a few steps are looked at, and not what tracing makes of them: a trace costs as much as ten of them.
EAGER = {"run_eagerly": True}


def compiled(classifier, form, optimizer="sgd", compile_settings=None, reduction="batch", **kwargs):
    model = CAREModel(classifier, attention_loss=AttentionLoss(form=form, reduction=reduction), **kwargs)
    model.compile(optimizer, "sparse_categorical_crossentropy", **(compile_settings or {}))
    return model


def test_evaluate_reports_the_energy_of_the_map_before_min_max(network, images):
    image, labels, mask = images
    model = compiled(network(), "energy", alpha=0.3)
    logs = model.evaluate({"image": image, "mask": mask}, labels, batch_size=16, verbose=0, return_dict=True)
    features = keras.Model(model.classifier.inputs, model.classifier.get_layer("last_relu").output)(image).numpy()
    kernel, total = model.classifier.get_layer("scores").get_weights()[0], 0.0
    for b in range(6):
        activation = sum(kernel[k, labels[b]] * features[b, ..., k] for k in range(features.shape[-1]))
        positive = tf.image.resize(np.maximum(activation, 0)[..., None], (12, 12)).numpy()
        if positive.any():
            total += 1 - (mask[b] * positive).sum() / positive.sum()
    np.testing.assert_allclose(logs["attention_loss"], total / 16, rtol=1e-5)


@pytest.mark.one_generation
@pytest.mark.parametrize("form", ["energy", "l1"])
@pytest.mark.parametrize("head", ["pooled", "dense"])
def test_the_second_order_gradient_agrees_with_finite_differences(network, images, form, head):
    image, labels, mask = images
    keras.mixed_precision.set_global_policy("float64")
    try:
        model = CAREModel(network(head=head))
        image, index = tf.constant(image[:4], tf.float64), tf.constant(labels[:4])
        model._observed.predict_with_maps(image, index, training=False, second_order=True)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    loss, variables = AttentionLoss(form=form), model.classifier.trainable_variables

    @tf.function(autograph=False)
    def attention_loss():
        activation_map = model._observed.predict_with_maps(image, index, training=False, second_order=True).maps[0]
        return loss(normalize_map(activation_map, loss.normalization), mask[:4])

    with tf.GradientTape() as tape:
        value = attention_loss()
    assert value.dtype == tf.float64 and value > 0
    slopes = tape.gradient(value, [tensorflow_variable(v) for v in variables], unconnected_gradients="zero")
    for variable, slope in zip(variables, slopes, strict=True):
        direction = np.random.default_rng(4).normal(size=slope.shape)
        start, step, values = variable.numpy(), 1e-6, []
        for sign in (1, -1):
            variable.assign(start + sign * step * direction)
            values.append(float(attention_loss()))
        variable.assign(start)
        expected = (slope.numpy() * direction).sum()
        np.testing.assert_allclose((values[0] - values[1]) / (2 * step), expected, rtol=1e-5, atol=1e-8)


def test_what_is_measured_does_not_change_with_the_form(network, images):
    image, labels, mask = images
    shares = []
    for form in ("care", *FORMS):
        model = compiled(network(), form, compile_settings=EAGER)
        logs = model.evaluate({"image": image, "mask": mask}, labels, batch_size=16, verbose=0, return_dict=True)
        shares.append(logs["attention_inside"])
    assert len(set(shares)) == 1 and 0 < shares[0] < 1


@pytest.mark.parametrize("form", ["energy", *one_generation("outside", "l1")])
def test_each_form_falls(network, images, form):
    image, labels, mask = images
    model = compiled(network(), form, keras.optimizers.Adam(0.03), alpha=0.9, reduction="masked")
    history = model.fit({"image": image, "mask": mask}, labels, batch_size=16, epochs=8, verbose=0).history
    assert history["attention_loss"][-1] < 0.75 * history["attention_loss"][0]
    assert history["attention_inside"][-1] > history["attention_inside"][0]


@pytest.mark.usefixtures("rewritten_graphs")
@pytest.mark.one_generation
def test_graph_and_xla_agree(images):
    """Of what a form adds to a step. The step itself is compiled in test_care_model.py; all forms are in one graph."""
    mask = images[2]
    maps = np.random.default_rng(3).normal(size=(16, 4, 4)).astype(np.float32)

    def values_and_slopes(maps, mask):
        results = []
        for loss in [AttentionLoss(form=form) for form in FORMS]:
            with tf.GradientTape() as tape:
                tape.watch(maps)
                value = loss(normalize_map(maps, loss.normalization), mask)
            results += [value, tape.gradient(value, maps)]
        return results

    given = tf.constant(maps), tf.constant(mask)
    expected = values_and_slopes(*given)
    assert all(np.abs(each).max() > 1e-3 for each in expected)
    for jit_compile in (False, True):
        compiled = tf.function(values_and_slopes, autograph=False, jit_compile=jit_compile)
        for found, each in zip(compiled(*given), expected, strict=True):
            np.testing.assert_allclose(found, each, atol=1e-6)


@pytest.mark.one_generation
def test_maps_without_a_positive_part_are_told(network, images):
    image, labels, mask = images
    classifier = network()
    kernel, bias = classifier.get_layer("scores").get_weights()
    classifier.get_layer("scores").set_weights([-np.abs(kernel), bias])
    model = compiled(classifier, "energy", keras.optimizers.SGD(0.0), EAGER)
    with pytest.warns(UserWarning, match="at last_relu has no positive part, and no gradient, on 6 of 6 images"):
        model.fit({"image": image, "mask": mask}, labels, verbose=0)
