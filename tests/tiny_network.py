"""A network for runs whose network is not looked at: it is traced in half the time of the package's smallest."""

import keras


def build(image_size, num_classes):
    image = keras.Input((*image_size, 3))
    x = keras.layers.Conv2D(8, 5, 4, "same", use_bias=False)(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.ReLU(name="map")(keras.layers.BatchNormalization(momentum=0.9)(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(num_classes, activation="softmax")(x))
