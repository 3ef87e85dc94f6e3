"""DeepLabV3+ that takes RGB images as they are and gives the probability of lesion and background at every pixel."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from care_tf.backbones.keras_cv_networks import deeplab_v3_plus, resnet18_backbone
from care_tf.backbones.local_weights import load_weights
from care_tf.backbones.preprocessing import IMAGENET_MEAN_BGR
from care_tf.backbones.squeezenet import squeezenet1_1
from care_tf.errors import InputError
from care_tf.keras_generation import seeded_initial_weights

NUM_CHANNELS = 2  # background, lesion: the paper takes the argmax of two
_HEAD_FILTERS = 128
# The published rates 6, 12, 18 go with 513 px crops at output stride 16, a grid of 33 x 33.
_PUBLISHED_RATES = (6, 12, 18)
_PUBLISHED_GRID = 33
_Weights = str | os.PathLike | None


@dataclasses.dataclass(frozen=True)
class _Encoder:
    """A backbone as DeepLabV3+ sees it.

    Args:
      build: (image_size, weights) -> the network on preprocessed images.
      fine, coarse: Names of the layers that give the fine and the coarse features; coarse is 8 times smaller.
      fine_stride: Image pixels per pixel of the fine features.
      mean, variance: Of the preprocessing (image - mean) / sqrt(variance), RGB 0..255.
    """

    build: Callable[[tuple[int, int], _Weights], keras.Model]
    fine: str
    coarse: str
    fine_stride: int
    mean: tuple[float, float, float]
    variance: tuple[float, float, float]


def build_segmentation_network(
    image_size: tuple[int, int], *, backbone: str = "squeezenet1_1", weights: _Weights = None, seed: int = 0
) -> keras.Model:
    """KerasCV's DeepLabV3+ with its preprocessing inside.

    Args:
      image_size: Height and width of the images, px; multiples of 16 (squeezenet1_1) or 32 (resnet18).
      backbone: "squeezenet1_1" or "resnet18".
      weights: Of the backbone: None for random ones, or the path of a local file.
      seed: Of the initial weights.

    Returns:
      A Functional model of plain Keras layers: (B,H,W,3) RGB 0..255 -> (B,H,W,2) probabilities of background and
      lesion. Building it needs KerasCV, loading it does not.

    Raises:
      InputError: An unknown backbone, a size that is not such a multiple, weights that do not fit, or no KerasCV.

    Source: L.-C. Chen et al., ECCV 2018. Deviations: the dilation rates 6, 12, 18 shrink with the coarse grid, since at
      small image sizes they would reach beyond it everywhere; the head has 128 filters instead of 256; with
      squeezenet1_1 the fine features are those of the first convolution (stride 2), so that its last layer (stride
      16) can be the coarse ones.
    """
    if backbone not in _ENCODERS:
        raise InputError(f"Segmentation backbone must be one of {', '.join(_ENCODERS)}. Received {backbone!r}.")
    encoder = _ENCODERS[backbone]
    coarse_stride = 8 * encoder.fine_stride
    if min(image_size) < coarse_stride or any(side % coarse_stride for side in image_size):
        raise InputError(
            f"image_size must be (height, width) in multiples of {coarse_stride} px for {backbone}. "
            f"Received {tuple(image_size)}."
        )
    with seeded_initial_weights(seed):
        network = encoder.build(image_size, weights)
        network.pyramid_level_inputs = {"P2": encoder.fine, "P5": encoder.coarse}
        grid = max(image_size) / coarse_stride
        rates = [max(1, round(rate * min(grid / _PUBLISHED_GRID, 1.0))) for rate in _PUBLISHED_RATES]
        deeplab = deeplab_v3_plus(network, NUM_CHANNELS, rates, _head(encoder.fine_stride))
        images = keras.Input((*image_size, 3), name="image")
        normalized = keras.layers.Normalization(
            mean=np.array(encoder.mean, np.float32), variance=np.array(encoder.variance, np.float32)
        )(images)
        return keras.Model(images, deeplab(normalized), name=f"deeplab_v3_plus_{backbone}")


def _head(fine_stride: int) -> keras.Model:
    """Fine features -> probabilities at the image's own size; KerasCV's own head expects stride 4."""
    return keras.Sequential(
        [
            keras.layers.Conv2D(_HEAD_FILTERS, 1, use_bias=False, name="segmentation_head_conv"),
            keras.layers.BatchNormalization(name="segmentation_head_norm"),
            keras.layers.ReLU(name="segmentation_head_relu"),
            keras.layers.Conv2D(NUM_CHANNELS, 1, name="segmentation_logits"),
            keras.layers.UpSampling2D(fine_stride, interpolation="bilinear", name="segmentation_upsampling"),
            keras.layers.Softmax(dtype="float32", name="segmentation_output"),
        ],
        name="segmentation_head",
    )


def _squeezenet(image_size: tuple[int, int], weights: _Weights) -> keras.Model:
    """SqueezeNet with padded pools and its first kernel turned from BGR to RGB, so that no layer reorders channels."""
    network = squeezenet1_1(image_size, weights, padding="same")
    first = network.get_layer("conv1")
    kernel, bias = first.get_weights()
    first.set_weights([kernel[:, :, ::-1], bias])
    return network


def _resnet18(image_size: tuple[int, int], weights: _Weights) -> Any:
    network = resnet18_backbone(image_size)
    if weights is not None:
        load_weights(network, weights)
    return network


_BLUE, _GREEN, _RED = IMAGENET_MEAN_BGR
_ENCODERS = {
    "squeezenet1_1": _Encoder(_squeezenet, "conv1", "fire9_concat", 2, (_RED, _GREEN, _BLUE), (1.0, 1.0, 1.0)),
    "resnet18": _Encoder(
        _resnet18, "v2_stack_0_block2_out", "v2_stack_3_block2_out", 4, (0.0, 0.0, 0.0), (255.0**2,) * 3
    ),
}
