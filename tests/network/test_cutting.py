import keras
import numpy as np
import pytest

from care_tf import CAREModel
from care_tf.errors import InputError
from care_tf.keras_generation import model_between
from care_tf.network.cutting import INPUT_ACTIVATION, cut_network


@pytest.mark.parametrize("layer", ["conv_1", "norm", "pool"])
def test_the_parts_in_a_row_are_the_network(network, images, layer):
    classifier = network()
    lower, upper = cut_network(classifier, layer, "last_relu")
    np.testing.assert_allclose(upper(lower(images[0])), classifier(images[0]), atol=1e-6)


def test_training_the_upper_part_trains_the_network(network, images):
    image, labels, mask = images
    classifier = network()
    lower, upper = cut_network(classifier, "conv_2", "last_relu")
    before = [weight.copy() for weight in classifier.get_weights()]
    model = CAREModel(upper, "last_relu")
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    activation = lower(image).numpy()
    logs = model.train_on_batch({"activation": activation, "mask": mask}, labels, return_dict=True)
    changed = [not np.array_equal(a, b) for a, b in zip(before, classifier.get_weights(), strict=True)]
    assert changed[:4] == [False] * 4 and changed[-2:] == [True] * 2
    assert logs["attention_inside"] > 0
    np.testing.assert_allclose(upper(activation), classifier(image), atol=1e-6)


def test_a_cut_at_the_attention_layer_leaves_a_layer_to_observe(network, images):
    classifier = network()
    whole = CAREModel(classifier, "last_relu")
    lower, upper = cut_network(classifier, "last_relu", "last_relu")
    part = CAREModel(upper, INPUT_ACTIVATION)
    expected = whole.predictions_and_attention(images[0], images[1])
    found = part.predictions_and_attention(lower(images[0]), images[1])
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_layers_that_cannot_be_cut_at_are_refused(network):
    with pytest.raises(InputError, match="'nowhere', which must be a layer of a flat Functional model.*scores"):
        cut_network(network(), "nowhere", "last_relu")
    image = keras.Input((8, 8, 3))
    dropped = keras.layers.Dropout(0.5, name="drop")(keras.layers.Conv2D(2, 3)(image))
    random = keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(dropped)))
    with pytest.raises(InputError, match="cannot be cached at 'drop': drop below it draws random numbers"):
        cut_network(random, "drop", "drop")
    left = keras.layers.Conv2D(2, 3, name="left")(image)
    joined = keras.layers.Concatenate()([left, keras.layers.Conv2D(2, 3)(image)])
    branched = keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(joined)))
    with pytest.raises(InputError, match="cannot be cached at 'left', because another path"):
        cut_network(branched, "left", "left")


def test_a_model_that_reaches_another_input_is_refused_where_keras_builds_it(monkeypatch):
    first, second = keras.Input((2,)), keras.Input((2,))
    both = keras.Model([first, second], keras.layers.Add()([first, second]))
    monkeypatch.setattr(keras, "Model", lambda *_, **__: both)  # as Keras 3.12 and older do
    with pytest.raises(ValueError, match="an input other than those given"):
        model_between([first], both.output, "part")
