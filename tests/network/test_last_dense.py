import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.network.last_dense import embedding_model, last_dense, reinitialized

NETWORKS = ("functional", "sequential", "nested", "subclassed")


def dense_layers(layer):
    """Every Dense layer below a model, in order, by Keras's own means."""
    return [inner for inner in layer._flatten_layers() if isinstance(inner, keras.layers.Dense)]


def head(*layers):
    """A classifier of a small convolution and the given layers behind its pooling."""
    image = keras.Input((12, 12, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
    for layer in layers:
        x = layer(x)
    return keras.Model(image, x)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_last_dense_layer_is_found_in_every_kind_of_network(network, name):
    classifier = network(name)
    assert last_dense(classifier, image_shape=(12, 12, 3)) is dense_layers(classifier)[-1]


def test_it_is_found_behind_a_hidden_one_and_inside_a_nested_head(network):
    hidden = network(head="dense")
    assert last_dense(hidden) is hidden.get_layer("scores")
    inside = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5), keras.layers.Dense(3, name="last")])
    assert last_dense(head(inside, keras.layers.Softmax())) is inside.get_layer("last")


@pytest.mark.parametrize(
    "behind",
    [
        [],
        [keras.layers.Softmax],
        [lambda: keras.layers.Activation("sigmoid")],
        [lambda: keras.layers.Dropout(0.5), keras.layers.Softmax],
        [lambda: keras.layers.Activation("linear")],
    ],
)
def test_an_activation_layer_may_stand_behind_it(behind):
    dense = keras.layers.Dense(3)
    assert last_dense(head(dense, *[layer() for layer in behind])) is dense


def test_a_change_of_precision_may_stand_behind_it():
    keras.mixed_precision.set_global_policy("mixed_float16")
    dense = keras.layers.Dense(3)
    assert last_dense(head(dense, keras.layers.Softmax(dtype="float32"))) is dense
    alone = keras.layers.Dense(3)
    assert last_dense(head(alone, keras.layers.Activation("linear", dtype="float32"))) is alone


def test_the_embedding_is_the_layers_input(network, images):
    classifier = network(head="dense")
    expected = keras.Model(classifier.input, classifier.get_layer("scores").input)(images[0], training=False)
    np.testing.assert_allclose(embedding_model(classifier)(images[0]), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_dense_layer_of_the_embedding_gives_the_predictions(network, images, name):
    classifier = network(name)
    embeddings = embedding_model(classifier, image_shape=(12, 12, 3))(images[0])
    kernel, bias = last_dense(classifier, image_shape=(12, 12, 3)).get_weights()
    logits = embeddings.numpy() @ kernel + bias
    expected = classifier(images[0], training=False)
    found = logits if name == "subclassed" else tf.nn.softmax(logits)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_embeddings_follow_the_weights_and_leave_the_layer_as_it_was(network, images):
    classifier = network(dropout=0.5)
    embed, attributes = embedding_model(classifier), set(vars(classifier.get_layer("scores")))
    before = embed(images[0]).numpy()
    np.testing.assert_array_equal(embed(images[0]), before)  # inference mode: no dropout
    conv = classifier.get_layer("conv_1")
    conv.set_weights([2 * weight for weight in conv.get_weights()])
    assert np.abs(embed(images[0][:5]).numpy() - before[:5]).max() > 1e-3
    assert set(vars(classifier.get_layer("scores"))) == attributes


def test_embeddings_of_half_precision_are_float32(network, images):
    keras.mixed_precision.set_global_policy("mixed_float16")
    classifier = network()
    assert embedding_model(classifier)(images[0]).dtype == tf.float32


def test_a_network_that_was_never_called_needs_the_images_shape():
    class Unbuilt(keras.Model):
        def __init__(self):
            super().__init__()
            self.pool, self.out = keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, name="out")

        def call(self, inputs):
            return self.out(self.pool(inputs))

    classifier = Unbuilt()
    assert last_dense(classifier, image_shape=(8, 8, 3)) is classifier.out
    embed = embedding_model(classifier, image_shape=(8, 8, 3))
    np.testing.assert_allclose(embed(np.full((1, 8, 8, 3), 0.5, np.float32)), np.full((1, 3), 0.5), rtol=1e-6)
    with pytest.raises(InputError, match="does not say which images it takes.*image_shape=None.*Pass image_shape"):
        last_dense(Unbuilt())


# --- a fresh start ---


def test_reinitialized_weights_depend_on_the_seed_alone(network):
    dense = last_dense(network())
    trained = dense.get_weights()
    drawn = []
    for seed in (1, 2, 1):
        random.seed(seed + 10)
        tf.random.set_seed(seed + 20)
        reinitialized(dense, seed)
        drawn.append(dense.get_weights())
    np.testing.assert_array_equal(drawn[0][0], drawn[2][0])
    assert np.abs(drawn[0][0] - drawn[1][0]).min() > 0 and np.abs(drawn[0][0] - trained[0]).min() > 0
    np.testing.assert_array_equal(drawn[0][1], np.zeros(3))


@pytest.mark.parametrize("initializer", [keras.initializers.HeNormal(seed=7), "orthogonal"])
def test_reinitialized_uses_the_layers_own_initializers(initializer):
    # A seed of the initializer's own must not bring the first weights back.
    dense = keras.layers.Dense(300, kernel_initializer=initializer, bias_initializer=keras.initializers.Constant(0.25))
    dense.build((None, 200))
    first = dense.get_weights()[0]
    dense.set_weights([np.zeros((200, 300)), np.zeros(300)])
    reinitialized(dense, seed=3)
    kernel, bias = dense.get_weights()
    np.testing.assert_array_equal(bias, np.full(300, 0.25, np.float32))
    assert np.abs(kernel - first).max() > 1e-3
    if initializer == "orthogonal":
        np.testing.assert_allclose(kernel @ kernel.T, np.eye(200), atol=1e-4)
    else:
        assert kernel.std() == pytest.approx((2 / 200) ** 0.5, rel=0.02)


def test_reinitialized_leaves_the_random_state_alone(network):
    dense = last_dense(network())

    def draws(act):
        keras.utils.set_random_seed(4)
        act()
        return random.random(), np.random.rand(), float(tf.random.uniform(())), keras.layers.Dense(2)

    plain, after = draws(lambda: None), draws(lambda: reinitialized(dense, 9))
    assert plain[:3] == after[:3]


def test_reinitialized_keeps_a_layer_without_bias():
    dense = keras.layers.Dense(3, use_bias=False)
    dense.build((None, 4))
    before = dense.get_weights()[0]
    reinitialized(dense, 5)
    assert len(dense.get_weights()) == 1 and np.abs(dense.get_weights()[0] - before).max() > 0


# --- errors ---


@pytest.mark.parametrize(
    "last",
    [
        keras.layers.BatchNormalization,
        lambda: keras.layers.Rescaling(2.0),
        lambda: keras.layers.EinsumDense("ab,bc->ac", 3, activation="softmax"),
    ],
)
def test_a_classifier_that_does_not_end_in_a_dense_layer_is_refused(last):
    for function in (last_dense, embedding_model):
        with pytest.raises(InputError, match=r"must end in a Dense layer.*End it with Dense\(classes\)"):
            function(head(keras.layers.Dense(3), last()))
