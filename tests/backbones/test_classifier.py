"""Every network by name: its shape, its head, its attention layer, its seed; and a network of the user's own."""

import random
import sys

import keras
import numpy as np
import pytest
from marks import one_generation

from care_tf.backbones import backbone_names, build_classifier, classifier_and_weights, get_backbone
from care_tf.errors import InputError

# name -> parameters without head and map size at 64 px, from the published architectures.
NETWORKS = {
    "resnet18": (11_186_112, (2, 2, 512)),
    "resnet50": (23_587_712, (2, 2, 2048)),
    "resnet152": (58_370_944, (2, 2, 2048)),
    "vgg19": (20_024_384, (4, 4, 512)),
    "squeezenet1_1": (722_496, (3, 3, 512)),
    "efficientnet_lite0": (3_413_024, (2, 2, 1280)),
    "small_cnn": (47_152, (8, 8, 64)),
    "keras.applications/EfficientNetB0": (4_049_571, (2, 2, 1280)),
}
HEAVY = "resnet50", "resnet152"


def last_4d_layer(model):
    """What "auto" stands for: the last layer with a 4-D output."""
    return [layer for layer in model.layers if len(layer.output.shape) == 4][-1]


@pytest.mark.one_generation
def test_the_table_covers_all_names():
    assert set(backbone_names()) <= set(NETWORKS)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in HEAVY] + one_generation(*HEAVY))
def test_classifier_by_name(name):
    parameters, map_shape = NETWORKS[name]
    classifier = build_classifier(name, image_size=(64, 64), num_classes=3)
    backbone = get_backbone(name)

    assert not any(isinstance(layer, keras.Model) for layer in classifier.layers), "must be flat"
    head = [layer for layer in classifier.layers if layer.name in ("fc1", "fc2", "predictions")]
    assert classifier.count_params() - sum(layer.count_params() for layer in head) == parameters
    units = [4096, 4096, 3] if name == "vgg19" else [3]
    assert [layer.units for layer in head] == units

    auto = backbone.attention_layer == "auto"
    watched = last_4d_layer(classifier) if auto else classifier.get_layer(backbone.attention_layer)
    assert tuple(watched.output.shape[1:]) == map_shape
    if not auto:
        assert (
            isinstance(watched, (keras.layers.Concatenate, keras.layers.ReLU))
            or watched.activation is keras.activations.relu
        )

    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    probabilities = np.asarray(classifier(backbone.preprocess(images), training=False))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.one_generation
def test_vgg19_map_is_14_by_14_at_224_px():
    network = get_backbone("vgg19").build_network((224, 224), None)
    assert network.get_layer("block5_conv4").output.shape[1:3] == (14, 14)


@pytest.mark.one_generation
@pytest.mark.parametrize(("activation", "low", "high"), [("sigmoid", 0, 1), ("softmax", 0, 1), (None, -np.inf, np.inf)])
def test_dropout_and_activation(activation, low, high):
    classifier = build_classifier(
        "squeezenet1_1", image_size=(40, 40), num_classes=4, dropout=0.3, activation=activation
    )
    assert classifier.get_layer("dropout").rate == 0.3
    assert classifier.layers[-1].activation is keras.activations.get(activation)
    values = np.asarray(classifier(np.full((1, 40, 40, 3), 50.0, "float32")))
    assert ((low <= values) & (values <= high)).all()


@pytest.mark.parametrize("policy", ["mixed_float16", *one_generation("mixed_bfloat16")])
@pytest.mark.parametrize("name", ["squeezenet1_1", *one_generation("vgg19")])
def test_head_is_float32_under_mixed_precision(name, policy):
    previous = keras.mixed_precision.dtype_policy() if hasattr(keras.mixed_precision, "dtype_policy") else None
    previous = previous or keras.mixed_precision.global_policy()
    try:
        keras.mixed_precision.set_global_policy(policy)
        classifier = build_classifier(name, image_size=(40, 40), num_classes=2)
    finally:
        keras.mixed_precision.set_global_policy(previous)
    assert classifier(np.zeros((1, 40, 40, 3), "float32")).dtype == "float32"
    features = classifier.get_layer(get_backbone(name).attention_layer).output
    assert policy.removeprefix("mixed_") in str(features.dtype)


@pytest.mark.parametrize("name", ["squeezenet1_1", *one_generation("keras.applications/MobileNet")])
def test_a_seed_decides_the_initial_weights(name):
    def weights(seed):
        return build_classifier(name, image_size=(40, 40), num_classes=2, seed=seed).get_weights()

    first = weights(7)
    keras.utils.set_random_seed(99)  # What the caller did before must not matter.
    again, other = weights(7), weights(8)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("caller_sets_seed", [False, True])
def test_the_callers_random_state_is_left_alone(caller_sets_seed):
    def draws(build):
        if caller_sets_seed:
            keras.utils.set_random_seed(5)
        random.seed(5)
        np.random.seed(5)
        if build:
            build_classifier("squeezenet1_1", image_size=(40, 40), num_classes=2)
        layer = keras.layers.Dense(2)
        layer.build((None, 3))
        kernel = layer.get_weights()[0].tolist() if caller_sets_seed else None
        return random.random(), np.random.random(), kernel

    assert draws(build=True) == draws(build=False)


USER_MODULE = """
import keras

preprocess = lambda images: images / 2
number = 3

def tiny(image_size, num_classes):
    images = keras.Input((*image_size, 3))
    x = keras.layers.Conv2D(4, 3)(images)
    return keras.Model(images, keras.layers.Dense(num_classes)(keras.layers.GlobalAveragePooling2D()(x)))

def returns_text(image_size, num_classes):
    return "model"

def wrong_outputs(image_size, num_classes):
    return tiny(image_size, num_classes + 1)

def other_keywords(size):
    return None
"""


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    (tmp_path / "my_networks.py").write_text(USER_MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "my_networks"
    sys.modules.pop("my_networks", None)


def test_user_builder(user_module, tmp_path):
    name = f"{user_module}:tiny"
    model = build_classifier(name, image_size=(20, 30), num_classes=3)
    assert model.input_shape == (None, 20, 30, 3) and model.output_shape == (None, 3)
    backbone = get_backbone(name)
    assert backbone.attention_layer == "auto" and float(backbone.preprocess(np.float32(8))) == 4
    path = str(tmp_path / "tiny.weights.h5")
    model.save_weights(path)
    arguments = {"image_size": (20, 30), "num_classes": 3, "dropout": 0, "activation": None, "seed": 9}
    loaded, weights = classifier_and_weights(name, weights=path, **arguments)
    first, last = loaded.layers[1].name, loaded.layers[-1].name
    assert str(weights) == f"Initial weights: {path} for {first} to {last}."
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("absent", "'absent' in my_networks must be a function; it is missing"),
        ("number", "'number' in my_networks must be a function; it is a int"),
        ("returns_text", "must return a keras.Model. Received str"),
        ("wrong_outputs", r"must return a model with 3 outputs \(num_classes\). Received output shape \(None, 4\)"),
        ("other_keywords", "must take the keywords image_size and num_classes"),
    ],
)
def test_user_builder_that_does_not_fit(user_module, function, message):
    with pytest.raises(InputError, match=message):
        build_classifier(f"{user_module}:{function}", image_size=(20, 20), num_classes=3)


@pytest.mark.one_generation
@pytest.mark.parametrize("name", ["no_such_module_here:build", ":build"])
def test_user_module_that_cannot_be_imported(name):
    with pytest.raises(InputError, match="cannot be imported"):
        build_classifier(name, image_size=(20, 20), num_classes=3)


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("argument", "message"),
    [({"weights": "imagenet"}, "belongs inside the builder"), ({"dropout": 0.5}, "dropout belongs inside the builder")],
)
def test_what_only_the_builder_can_do(user_module, argument, message):
    with pytest.raises(InputError, match=message):
        build_classifier(f"{user_module}:tiny", image_size=(20, 20), num_classes=3, **argument)


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet5", "keras.applications/<Network>.* Received 'resnet5'. Did you mean 'resnet50'"),
        ("", "A backbone must be one of resnet18, .* Received ''"),
        ("keras.applications/resnet50", "keras.applications are .*ResNet50.* Received 'resnet50'"),
        ("keras.applications/imagenet_utils", "Received 'imagenet_utils'"),
    ],
)
def test_unknown_name(name, message):
    with pytest.raises(InputError, match=message):
        build_classifier(name, image_size=(64, 64), num_classes=3)


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"num_classes": 0}, "num_classes must be at least 1. Received 0"),
        ({"num_classes": 1}, "A softmax over one class is always 1"),
        ({"dropout": 1.0}, r"dropout must be a fraction in \[0, 1\). Received 1.0"),
        ({"dropout": float("nan")}, "dropout must be a fraction"),
        ({"activation": "relu"}, "activation must be one of .* Received 'relu'"),
        ({"image_size": (0, 64)}, "image_size must be"),
        ({"image_size": (64,)}, "image_size must be"),
        ({"image_size": (16, 16)}, r"squeezenet1_1 needs images of at least \d+ px"),
    ],
)
def test_arguments_out_of_range(argument, message):
    arguments = {"image_size": (64, 64), "num_classes": 3, **argument}
    with pytest.raises(InputError, match=message):
        build_classifier("squeezenet1_1", **arguments)


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"image_size": (15, 40)}, r"small_cnn needs images of at least 16 px. Received image_size \(15, 40\)"),
        ({"weights": "imagenet"}, "small_cnn has no ImageNet weights"),
    ],
)
def test_what_the_small_network_cannot_do(argument, message):
    with pytest.raises(InputError, match=message):
        build_classifier("small_cnn", **{"image_size": (32, 32), "num_classes": 3, **argument})


def test_image_too_small_for_an_application():
    with pytest.raises(InputError, match=r"ResNet50 cannot be built for images of \(16, 16\) px"):
        build_classifier("resnet50", image_size=(16, 16), num_classes=3)
