"""CAREModel with a list of attention layers: the mean of each layer's own loss, and the last layer's map to look at."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from classifiers import weights_difference
from marks import one_generation

from care_tf import CAREModel
from care_tf.errors import InputError
from care_tf.keras_generation import tensorflow_variable
from care_tf.losses import AttentionLoss, InputGradient, OutsidePerturbation
from care_tf.model import MaskHead
from care_tf.model._map_losses import map_losses
from care_tf.model.observed_classifier import ObservedClassifier

LAYERS = ["conv_1", "last_relu"]
SETTINGS = dict(batch_size=16, epochs=1, verbose=0, shuffle=False)
EAGER = {"run_eagerly": True}
SHOWN = "Attention maps: output of {}, 10 x 10; output of {}, 8 x 8, which is shown. Score: the input of "


def compiled(classifier, layers=LAYERS, compile_settings=EAGER, **arguments):
    model = CAREModel(classifier, attention_layer=layers, **arguments)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", **compile_settings)
    return model


def trained(images, classifier, layers=LAYERS, compile_settings=EAGER, **arguments):
    """The classifier after one step."""
    image, labels, mask = images
    compiled(classifier, layers, compile_settings, **arguments).fit({"image": image, "mask": mask}, labels, **SETTINGS)
    return classifier


# --- oracle: the maps and losses of each layer, in NumPy, with gradients by central differences ---


def scores(classifier, layer):
    """A function: features of a layer (n, h, w, d), class -> scores (n,), in inference mode."""
    kernel, bias = classifier.get_layer("conv_2").get_weights()
    norm = classifier.get_layer("norm")
    gamma, beta, mean, variance = norm.get_weights()
    dense = [each.get_weights() for each in classifier.layers if isinstance(each, keras.layers.Dense)]

    def after_the_layer(features, label):
        if layer == "conv_1":
            windows = np.lib.stride_tricks.sliding_window_view(features, (3, 3), axis=(1, 2))  # (n, i, j, c, k, l)
            convolved = np.tensordot(windows, kernel, axes=([4, 5, 3], [0, 1, 2])) + bias
            features = np.maximum((convolved - mean) / np.sqrt(variance + norm.epsilon) * gamma + beta, 0)
        hidden = features.mean((1, 2))
        if len(dense) == 2:
            hidden = np.tanh(features.reshape(len(features), -1) @ dense[0][0] + dense[0][1])
        return (hidden @ dense[-1][0] + dense[-1][1])[:, label]

    return after_the_layer


def slopes(function, at, step=1e-6):
    """Central differences, one entry at a time."""
    changes = step * np.eye(at.size).reshape(-1, *at.shape)
    return ((function(at + changes) - function(at - changes)) / (2 * step)).reshape(at.shape)


def grad_cam(classifier, layer, image, label):
    features = keras.Model(classifier.input, classifier.get_layer(layer).output)(image[np.newaxis]).numpy()[0]
    function = scores(classifier, layer)
    gradients = slopes(lambda given: function(given, label), features)
    return (features * gradients.mean((0, 1))).sum(-1)


def paper_loss(activation_map, mask, tau, lam):
    values = (activation_map - activation_map.min()) / (activation_map.max() - activation_map.min())
    for axis in (0, 1):  # bilinear, from pixel center to pixel center
        at = (np.arange(len(mask)) + 0.5) * values.shape[axis] / len(mask) - 0.5
        values = np.stack(
            [np.interp(at, np.arange(len(line)), line) for line in np.moveaxis(values, axis, -1)], 1 - axis
        )
    return -min(values[mask > 0].mean(), tau) + lam * values[mask == 0].mean()


@pytest.mark.parametrize("head", ["pooled", *one_generation("dense")])
def test_the_loss_is_the_mean_of_each_layers_own(network, images, head):
    image, labels, mask = (each[:3] for each in images)
    keras.mixed_precision.set_global_policy("float64")
    model = compiled(network(head=head), attention_loss=AttentionLoss(0.3, 0.9))
    maps = model._observed.predict_with_maps(tf.constant(image), tf.constant(labels), False, True).maps
    assert [place.pooled_dense is None for place in model.anatomy.places] == [True, head == "dense"]
    losses = []
    for layer, found in zip(LAYERS, maps, strict=True):
        expected = [grad_cam(model.classifier, layer, *each) for each in zip(image, labels, strict=True)]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9)
        losses.append([paper_loss(each, m[..., 0], 0.3, 0.9) for each, m in zip(expected, mask, strict=True)])
    logs = model.test_on_batch({"image": image, "mask": mask}, labels, return_dict=True)
    np.testing.assert_allclose(logs["attention_loss"], np.mean(losses), rtol=1e-5)
    assert np.abs(np.subtract(*losses)).max() > 1e-2


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("form", "cam", "head"),
    [("care", "gradcam", "pooled"), ("energy", "layercam", "dense"), ("l1", "xgradcam", "pooled")],
)
def test_the_second_order_gradient_agrees_with_finite_differences(network, images, form, cam, head):
    image, labels, mask = (each[:4] for each in images)
    keras.mixed_precision.set_global_policy("float64")
    observed = ObservedClassifier(network(head=head), LAYERS, cam)
    loss, index = AttentionLoss(form=form), tf.constant(labels)
    variables = [tensorflow_variable(variable) for variable in observed.classifier.trainable_variables]

    def attention_loss():
        mapped = observed.predict_with_maps(tf.constant(image), index, training=False, second_order=True)
        return tf.reduce_mean(map_losses(loss, mapped.maps, tf.constant(mask))[0])

    with tf.GradientTape() as tape:
        value = attention_loss()
    found = tape.gradient(value, variables, unconnected_gradients="zero")
    random, step, values = np.random.default_rng(4), 1e-6, []
    directions = [random.normal(size=each.shape) for each in found]
    for sign in (1, -2):
        for variable, direction in zip(variables, directions, strict=True):
            variable.assign_add(sign * step * direction)
        values.append(float(attention_loss()))
    expected = (values[0] - values[1]) / (2 * step)
    assert value.dtype == tf.float64 and abs(expected) > 1e-3
    slope = sum((each.numpy() * direction).sum() for each, direction in zip(found, directions, strict=True))
    np.testing.assert_allclose(slope, expected, rtol=1e-5)


# --- identities ---


@pytest.mark.one_generation
def test_every_form_and_reduction_is_the_mean_over_the_layers(network, images):
    image, labels, mask = images
    classifier = network()
    readings = [ObservedClassifier(classifier, layers) for layers in (LAYERS, *LAYERS)]
    for form, reduction in (("care", "masked"), ("outside", "class_balanced"), ("energy", "batch"), ("l1", "masked")):
        logs = []
        for observed in readings:
            model = compiled(observed, attention_loss=AttentionLoss(form=form, reduction=reduction))
            logs.append(model.test_on_batch({"image": image, "mask": mask}, labels, return_dict=True))
        both, first, last = (each["attention_loss"] for each in logs)
        assert both == pytest.approx((first + last) / 2, rel=1e-5) and abs(first - last) > 1e-4
        assert logs[0]["attention_inside"] == logs[2]["attention_inside"] != logs[1]["attention_inside"]


@pytest.mark.parametrize(
    ("head", "second_order"), [("pooled", True), pytest.param("dense", False, marks=pytest.mark.one_generation)]
)
def test_a_step_is_the_mean_of_the_steps_of_each_layer(network, images, head, second_order):
    results = [
        trained(images, network(head=head), layers, second_order=second_order, alpha=0.9)
        for layers in (LAYERS, *LAYERS)
    ]
    both, first, last = (each.get_weights() for each in results)
    for a, b, c in zip(both, first, last, strict=True):
        np.testing.assert_allclose(a, (b + c) / 2, atol=1e-6)
    assert weights_difference(*results[1:]) > 1e-3


def test_a_list_of_one_is_its_layer(network, images):
    results = [trained(images, network(), layers) for layers in (["conv_1"], "conv_1")]
    assert weights_difference(*results) == 0.0


@pytest.mark.one_generation
@pytest.mark.usefixtures("rewritten_graphs")
@pytest.mark.parametrize("settings", [{}, {"jit_compile": True}], ids=str)
def test_graph_and_xla_train_as_eager_steps(network, images, settings):
    results = [trained(images, network(), compile_settings=each) for each in (settings, EAGER)]
    assert weights_difference(*results) < 1e-6


def test_with_alpha_zero_the_weights_are_those_of_plain_keras(network, images):
    plain = network()
    plain.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", **EAGER)
    plain.fit(images[0], images[1], **SETTINGS)
    assert weights_difference(plain, trained(images, network(), alpha=0.0)) < 1e-6


def test_a_flat_map_counts_as_a_loss_of_zero(images):
    maps = tf.constant(np.random.default_rng(0).normal(size=(6, 4, 4)), tf.float32)
    loss, mask = AttentionLoss(), tf.constant(images[2][:6])
    alone, is_flat = map_losses(loss, [maps], mask)
    assert not is_flat.numpy().any() and np.abs(alone).max() > 0.1
    half, is_flat = map_losses(loss, [tf.ones((6, 8, 8)), maps], mask)
    assert is_flat.numpy().all()
    np.testing.assert_allclose(half, alone / 2, rtol=1e-6)


# --- properties ---


@pytest.mark.one_generation
@pytest.mark.parametrize("head", ["pooled", "dense"])
def test_a_step_takes_one_forward_pass_and_one_inner_backward_pass(network, images, head, monkeypatch):
    model, passes, backward = compiled(network(head=head)), [], []
    call, gradient = model.classifier.call, tf.GradientTape.gradient
    model.fit({"image": images[0], "mask": images[2]}, images[1], **SETTINGS)
    model.classifier.call = lambda *given, **named: passes.append(1) or call(*given, **named)
    monkeypatch.setattr(
        tf.GradientTape, "gradient", lambda *given, **named: backward.append(1) or gradient(*given, **named)
    )
    model.fit({"image": images[0], "mask": images[2]}, images[1], **SETTINGS)
    assert (len(passes), len(backward)) == (1, 2)  # the second backward pass is the optimizer's


def test_the_last_layers_map_is_shown_and_costs_nothing_more(network, images, monkeypatch):
    classifier = network()
    both, last = CAREModel(classifier, LAYERS), CAREModel(classifier, "last_relu")
    image, index = images[0], tf.constant(images[1])
    monkeypatch.setattr(tf.GradientTape, "gradient", None)  # the last layer's map has a closed form
    for found, expected in zip(*(each.predictions_and_attention(image, index) for each in (both, last)), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert both.anatomy.attention_path == "last_relu" and both.anatomy.map_size == (8, 8)
    assert str(both.anatomy) == SHOWN.format(*LAYERS) + "scores's softmax."


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("nested", ["backbone/conv_1", "auto"]),
        pytest.param("nested", ["conv_1", "backbone"], marks=pytest.mark.one_generation),
        pytest.param("functional", ("conv_1", "auto"), marks=pytest.mark.one_generation),
    ],
)
def test_names_in_a_list_are_read_as_alone(network, images, name, layers):
    model = compiled(network(name), layers)
    assert [place.map_size for place in model.anatomy.places] == [(10, 10), (8, 8)]
    logs = model.fit({"image": images[0], "mask": images[2]}, images[1], **SETTINGS).history
    assert abs(logs["attention_loss"][0]) > 1e-3


@pytest.mark.one_generation
def test_a_mask_head_learns_from_the_last_layer(network, images):
    model = compiled(network(), mask_head=MaskHead([0, 1, 2], width=4))
    before = model.mask_head.score.get_weights()[0]
    model.train_on_batch({"image": images[0], "mask": images[2]}, images[1])
    assert model.mask_head.reduce.kernel.shape[2] == 5
    assert np.abs(model.mask_head.score.get_weights()[0] - before).max() > 1e-5


@pytest.mark.one_generation
def test_half_precision_gives_the_loss_of_full_precision(network, images):
    values = []
    for policy in ("float32", "mixed_float16"):
        keras.mixed_precision.set_global_policy(policy)
        x = {"image": images[0], "mask": images[2]}
        values.append(compiled(network()).test_on_batch(x, images[1], return_dict=True)["attention_loss"])
    assert values[1] == pytest.approx(values[0], rel=0.02) and abs(values[0]) > 1e-3


# --- saving ---


def test_the_wrapper_saves_and_loads_in_safe_mode(network, images, tmp_path):
    image, labels, mask = images
    model = compiled(network(), tuple(LAYERS))
    model.fit({"image": image, "mask": mask}, labels, **SETTINGS)
    model.save(tmp_path / "care.keras")
    again = keras.models.load_model(tmp_path / "care.keras", safe_mode=True)
    assert again.attention_layer == again.get_config()["attention_layer"] == LAYERS
    for either in (model, again):
        either.fit({"image": image, "mask": mask}, labels, **SETTINGS)
    assert weights_difference(model.classifier, again.classifier) < 1e-5


def test_a_single_layer_is_kept_as_its_name(network):
    classifier = network()
    for given in ("last_relu", ["last_relu"]):
        assert CAREModel(classifier, given).get_config()["attention_layer"] == "last_relu"
    assert inspect.signature(CAREModel).parameters["attention_layer"].default == "auto"


# --- errors ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attention_layer": ["last_relu", "conv_1"]}, "order.* Received 'last_relu' before 'conv_1', which is not"),
        ({"attention_layer": ["conv_1", "conv_1"]}, "different layers.* Received 'conv_1' before 'conv_1'"),
        (
            {"attention_layer": ["conv_1", "nope"]},
            r"attention_layer='nope' is not a layer.*; the last of each size: conv_1 \(10 x 10\), last_relu \(8 x 8\)",
        ),
        ({"attention_layer": ["conv_1", "pool"]}, "needs the image's rows and columns.*'pool'"),
        ({"attention_layer": []}, r"the name of a layer, or a list of names.*Received attention_layer=\[\]"),
        ({"attention_layer": ["conv_1", 3]}, r"a list of names.*Received attention_layer=\['conv_1', 3\]"),
        ({"attention_layer": None}, "a list of names.*Received attention_layer=None"),
        ({"attention_loss": InputGradient()}, r"no mean over attention layers. Received .*\['conv_1', 'last_relu'\]"),
        ({"attention_loss": OutsidePerturbation()}, "OutsidePerturbation acts on the network and on no map"),
    ],
)
def test_what_does_not_fit_is_refused(network, arguments, message):
    with pytest.raises(InputError, match=message):
        CAREModel(network(), **{"attention_layer": LAYERS, **arguments})


@pytest.mark.one_generation
def test_layers_of_which_neither_follows_the_other_are_refused(network):
    image = keras.Input((12, 12, 3))
    branches = [keras.layers.Conv2D(2, 3, name=name)(image) for name in ("left", "right")]
    joined = keras.layers.Concatenate(name="joined")(branches)
    classifier = keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(joined)))
    with pytest.raises(InputError, match="Received 'left' before 'right', which is not computed from it"):
        CAREModel(classifier, ["left", "right"])
    CAREModel(classifier, ["left", "joined"])
    with pytest.raises(InputError, match="Received 'backbone/last_relu' before 'backbone'"):  # one tensor, two names
        CAREModel(network("nested"), ["backbone/last_relu", "backbone"])


@pytest.mark.one_generation
def test_a_list_beside_a_features_model_is_refused(network):
    with pytest.raises(InputError, match="features and head say where the one attention map is"):
        CAREModel(network("subclassed"), LAYERS, features="body", head="top")


@pytest.mark.one_generation
def test_an_earlier_layer_needs_second_order_gradients_too():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="deep")(image)
    x = keras.layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, name="after")(x))
    classifier = keras.Model(image, keras.layers.Dense(2)(x))
    with pytest.raises(InputError, match="'deep' and the logits .*ResizeBilinear"):
        CAREModel(classifier, ["deep", "after"])
    CAREModel(classifier, ["deep", "after"], second_order=False)
