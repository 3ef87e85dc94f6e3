"""Small classifiers that the tests of several parts share."""

import keras
import numpy as np

SIZE = 12


def convolutions(x, has_bias=True):
    x = keras.layers.Conv2D(6, 3, activation="relu", name="conv_1")(x)
    x = keras.layers.Conv2D(5, 3, use_bias=has_bias, name="conv_2")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    return keras.layers.Activation("relu", name="last_relu")(x)


def functional(num_outputs=3, activation="softmax", head="pooled", dropout=0.0, has_bias=True, **kwargs):
    keras.utils.set_random_seed(1)
    image = keras.Input((SIZE, SIZE, 3))
    x = convolutions(image, has_bias)
    if head == "pooled":
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    else:
        x = keras.layers.Dense(7, activation="tanh")(keras.layers.Flatten()(x))
    if dropout:
        x = keras.layers.Dropout(dropout)(x)
    return keras.Model(image, keras.layers.Dense(num_outputs, activation=activation, name="scores")(x), **kwargs)


def sequential(**_):
    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Conv2D(6, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(5, 3, activation="relu", name="last"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
            layers.Softmax(),
        ]
    )


def nested(**_):
    keras.utils.set_random_seed(1)
    image = keras.Input((SIZE, SIZE, 3))
    backbone = keras.Model(image, convolutions(image), name="backbone")
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            backbone,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dropout(0.2, seed=3),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


@keras.saving.register_keras_serializable(package="test")
class Subclassed(keras.Model):
    """A network that keeps its two halves as attributes."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        image = keras.Input((SIZE, SIZE, 3))
        self.body = keras.Model(image, convolutions(image))
        features = keras.Input(self.body.output.shape[1:])
        self.top = keras.Model(features, keras.layers.Dense(3)(keras.layers.Flatten()(features)))

    def call(self, inputs, training=None):
        return self.top(self.body(inputs, training=training), training=training)


def subclassed(**_):
    keras.utils.set_random_seed(1)
    model = Subclassed()
    model(np.zeros((1, SIZE, SIZE, 3), np.float32))
    return model


BUILDERS = {"functional": functional, "sequential": sequential, "nested": nested, "subclassed": subclassed}


def weights_difference(first, second):
    """The largest difference of a weight between two networks of one kind."""
    return max(np.abs(a - b).max() for a, b in zip(first.get_weights(), second.get_weights(), strict=True))
