import keras
import numpy as np
import pytest
import tensorflow as tf

from care_tf import keras_generation
from care_tf.backbones import build_classifier
from care_tf.network.random_layers import random_layers, set_random_layers


def with_dropout():
    image = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(6, 3, name="convolution")(image)
    x = keras_generation.dropout(0.5, name="first")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras_generation.dropout(0.5, name="second")(x))


@pytest.fixture
def model():
    return with_dropout()


def drawn(model, *seed, in_graph=False):
    call = tf.function(model) if in_graph else model
    set_random_layers(model, *seed)
    image = np.ones((4, 12, 12, 3), np.float32)
    return [call(image, training=True).numpy() for _ in range(2)]


@pytest.mark.parametrize("in_graph", [False, True])
def test_the_same_seed_draws_the_same_and_another_something_else(model, in_graph):
    first, again, other = (drawn(model, *seed, in_graph=in_graph) for seed in ((3, 1, 2), (3, 1, 2), (3, 1, 3)))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1])  # one call after the other draws on
    assert not np.array_equal(first, other)


def test_layers_are_known_by_name_wherever_they_stand(model):
    inner = keras.Model(model.get_layer("convolution").output, model.output)
    image = np.ones((4, 12, 12, 3), np.float32)
    set_random_layers(inner, 1)
    from_part = inner(model.get_layer("convolution")(image), training=True)
    set_random_layers(model, 1)
    np.testing.assert_allclose(model(image, training=True), from_part, atol=1e-6)


def test_random_layers_are_listed(model):
    assert random_layers(model) == ["first", "second"]
    assert random_layers(build_classifier("small_cnn", image_size=(32, 32), num_classes=3)) == []
    dropout = build_classifier("small_cnn", image_size=(32, 32), num_classes=3, dropout=0.1)
    assert random_layers(dropout) == ["dropout"]
