"""A convolutional network of 47,152 parameters for demonstrations and tests; it learns drawn images in a minute."""

from typing import Any

import keras

from care_tf.backbones._backbone import Backbone, Weights
from care_tf.backbones._local_weights import load_weights
from care_tf.backbones.preprocessing import unit_interval
from care_tf.errors import InputError

CHANNELS = (16, 32, 48, 64)
MIN_IMAGE_SIZE_PX = 16


def small_cnn(image_size: tuple[int, int], weights: Weights = None) -> keras.Model:
    """Four blocks of 3 x 3 convolution, batch normalization and ReLU, the first three halving the map.

    As `Backbone.build_network` gives it: (B,H,W,3) images in [0, 1] of at least 16 px -> (B,H/8,W/8,64).
    """
    if weights == "imagenet":
        raise InputError("small_cnn has no ImageNet weights. Leave weights out, or pass the path of a local file.")
    if min(image_size) < MIN_IMAGE_SIZE_PX:
        raise InputError(
            f"small_cnn needs images of at least {MIN_IMAGE_SIZE_PX} px. Received image_size {image_size}."
        )
    images = keras.Input((*image_size, 3), name="image")
    x: Any = images
    for number, channels in enumerate(CHANNELS, start=1):
        name, strides = f"block{number}", 1 if number == len(CHANNELS) else 2
        x = keras.layers.Conv2D(channels, 3, strides, "same", use_bias=False, name=f"{name}_convolution")(x)
        x = keras.layers.BatchNormalization(name=f"{name}_normalization", momentum=0.9)(x)
        x = keras.layers.ReLU(name=f"{name}_relu")(x)
    network = keras.Model(images, x, name="small_cnn")
    if weights is not None:
        load_weights(network, weights)
    return network


SMALL_CNN = Backbone(
    name="small_cnn",
    attention_layer=f"block{len(CHANNELS)}_relu",
    preprocess=unit_interval,
    build_network=small_cnn,
    penultimate_block=f"block{len(CHANNELS) - 1}_relu",
)
