"""DeepLabV3 and V3+: RGB images as they are -> the probability of lesion and background at every pixel."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from care_tf.backbones import get_backbone
from care_tf.backbones.keras_cv_networks import deeplab_v3, deeplab_v3_plus
from care_tf.backbones.keras_hub_networks import HUB_PREFIX, hub_deeplab
from care_tf.backbones.layer_changes import with_changed_layers
from care_tf.backbones.preprocessing import IMAGENET_MEAN_BGR
from care_tf.backbones.squeezenet import squeezenet1_1
from care_tf.errors import InputError
from care_tf.keras_generation import seeded_initial_weights

NUM_CHANNELS = 2  # background, lesion: the paper takes the argmax of two
ARCHITECTURES = ("deeplab_v3", "deeplab_v3_plus", f"{HUB_PREFIX}<preset>")
_V3_STRIDE = 16  # image pixels per pixel of DeepLabV3's features
_HEAD_FILTERS = 128
# The published rates 6, 12, 18 go with 513 px crops at output stride 16, a grid of 33 x 33.
_PUBLISHED_RATES = (6, 12, 18)
_PUBLISHED_GRID = 33
_Weights = str | os.PathLike | None


@dataclasses.dataclass(frozen=True)
class _Encoder:
    """A backbone as DeepLab sees it.

    Args:
      build: (image_size, weights) -> the network on preprocessed images.
      fine, coarse: Names of the layers that give the fine and the coarse features; coarse is 8 times smaller.
      fine_stride: Image pixels per pixel of the fine features.
      mean, variance: Of the preprocessing (image - mean) / sqrt(variance), RGB 0..255.
      last_stage: How the names of the layers start whose stride DeepLabV3 takes out; None where the coarse features
        have stride 16 already.
    """

    build: Callable[[tuple[int, int], _Weights], keras.Model]
    fine: str
    coarse: str
    fine_stride: int
    mean: tuple[float, float, float]
    variance: tuple[float, float, float]
    last_stage: str | None = None


def build_segmentation_network(
    image_size: tuple[int, int],
    *,
    architecture: str = "deeplab_v3_plus",
    backbone: str | None = None,
    encoder_weights: _Weights = None,
    seed: int = 0,
) -> keras.Model:
    """DeepLabV3, KerasCV's DeepLabV3+ or a DeepLab of KerasHub, with the preprocessing inside.

    DeepLabV3 upsamples its logits 16 times; V3+ has a decoder on finer features, and costs several times as much.

    Args:
      image_size: Height and width of the images, px; multiples of 16, of 32 for deeplab_v3_plus with a ResNet,
        of a preset's own stride.
      architecture: "deeplab_v3", "deeplab_v3_plus", or "keras_hub/<preset>": the name of a DeepLab of KerasHub, or the
        folder that one was saved to, with its weights and a new last layer.
      backbone: "squeezenet1_1" (None), "resnet18" or "resnet50"; a preset has its own.
      encoder_weights: None for random ones, "imagenet" where the backbone has such to download, or the path of a
        local file.
      seed: Of the initial weights.

    Returns:
      A Functional model of plain Keras layers: (B,H,W,3) RGB 0..255 -> (B,H,W,2) probabilities of background and
      lesion. Building it needs KerasCV or KerasHub, loading it does not.

    Raises:
      InputError: An unknown architecture or backbone, a size that is not such a multiple, weights that do not fit, a
        preset that does not fit, or no KerasCV or KerasHub.

    Source: L.-C. Chen et al., arXiv 1706.05587, 2017 (V3), and ECCV 2018 (V3+). Deviations: the dilation rates 6, 12,
      18 shrink with the coarse grid, since at small image sizes they would reach beyond it everywhere; V3+ has a head
      of 128 filters instead of 256, and with squeezenet1_1 its fine features are those of the first convolution
      (stride 2), so that the last layer (stride 16) can give the coarse ones; V3 has the rate 2 in all blocks of its
      last stage (no multi-grid).
    """
    backbone = chosen_backbone(architecture, backbone, encoder_weights)
    if backbone is None:
        with seeded_initial_weights(seed):
            return _hub_network(architecture.removeprefix(HUB_PREFIX), image_size)
    for name, value, known in (
        ("architecture", architecture, ARCHITECTURES),
        ("backbone", backbone, tuple(_ENCODERS)),
    ):
        if value not in known:
            raise InputError(f"Segmentation {name} must be one of {', '.join(known)}. Received {value!r}.")
    encoder = _ENCODERS[backbone]
    stride = _V3_STRIDE if architecture == "deeplab_v3" else 8 * encoder.fine_stride
    if min(image_size) < stride or any(side % stride for side in image_size):
        raise InputError(
            f"image_size must be (height, width) in multiples of {stride} px for {backbone} in {architecture}. "
            f"Received {tuple(image_size)}."
        )
    grid = max(image_size) / stride
    rates = [max(1, round(rate * min(grid / _PUBLISHED_GRID, 1.0))) for rate in _PUBLISHED_RATES]
    with seeded_initial_weights(seed):
        network = encoder.build(image_size, encoder_weights)
        if architecture == "deeplab_v3":
            if encoder.last_stage:
                network = dilated(network, encoder.last_stage)
            deeplab = deeplab_v3(network, rates, _output(_V3_STRIDE))
        else:
            network.pyramid_level_inputs = {"P2": encoder.fine, "P5": encoder.coarse}
            deeplab = deeplab_v3_plus(network, NUM_CHANNELS, rates, _decoder_head(encoder.fine_stride))
        images = keras.Input((*image_size, 3), name="image")
        normalized = keras.layers.Normalization(
            mean=np.array(encoder.mean, np.float32), variance=np.array(encoder.variance, np.float32)
        )(images)
        return keras.Model(images, deeplab(normalized), name=f"{architecture}_{backbone}")


def chosen_backbone(architecture: str, backbone: str | None, encoder_weights: _Weights) -> str | None:
    """The backbone, or the default for None; None for a preset of KerasHub, which has its own and refuses another."""
    if not architecture.startswith(HUB_PREFIX):
        return backbone or "squeezenet1_1"
    if backbone is not None or encoder_weights is not None:
        raise InputError(
            "backbone and encoder_weights must be left out beside a preset of KerasHub, which has its own. Received "
            f"{backbone!r} and {encoder_weights!r} beside {architecture}."
        )
    return None


def _hub_network(preset: str, image_size: tuple[int, int]) -> keras.Model:
    """KerasHub's segmenter for two classes; upsampling the logits instead of the features gives the same for less."""
    deeplab = hub_deeplab(preset, image_size)
    x = deeplab.output
    for layer in _output(image_size[0] // x.shape[1]):
        x = layer(x)
    return keras.Model(deeplab.input, x, name="deeplab")


def dilated(network: keras.Model, stage: str) -> keras.Model:
    """The network without a stage's stride: its map is twice as fine, and its kernels are dilated to see as far.

    Where the stride was in 1 x 1 convolutions, as in ResNet50, every second pixel is what the network gave before.

    Args:
      network: A Functional model.
      stage: How the names of the stage's layers start.
    """

    def change(layer: keras.layers.Layer) -> dict[str, Any]:
        if not (isinstance(layer, keras.layers.Conv2D) and layer.name.startswith(stage)):
            return {}
        return {"strides": 1} if max(layer.strides) > 1 else {"dilation_rate": 2}

    return with_changed_layers(network, change)


def _decoder_head(fine_stride: int) -> keras.Model:
    """Fine features -> probabilities at the image's own size; KerasCV's own head expects stride 4."""
    return keras.Sequential(
        [
            keras.layers.Conv2D(_HEAD_FILTERS, 1, use_bias=False, name="segmentation_head_conv"),
            keras.layers.BatchNormalization(name="segmentation_head_norm"),
            keras.layers.ReLU(name="segmentation_head_relu"),
            *_output(fine_stride),
        ],
        name="segmentation_head",
    )


def _output(stride: int) -> list[keras.layers.Layer]:
    """Features -> logits -> probabilities at the image's own size."""
    return [
        keras.layers.Conv2D(NUM_CHANNELS, 1, name="segmentation_logits"),
        keras.layers.UpSampling2D(stride, interpolation="bilinear", name="segmentation_upsampling"),
        keras.layers.Softmax(dtype="float32", name="segmentation_output"),
    ]


def _squeezenet(image_size: tuple[int, int], weights: _Weights) -> keras.Model:
    return _on_rgb(squeezenet1_1(image_size, weights, padding="same"), "conv1")


def _resnet50(image_size: tuple[int, int], weights: _Weights) -> keras.Model:
    return _on_rgb(get_backbone("resnet50").build_network(image_size, weights), "conv1_conv")


def _on_rgb(network: keras.Model, first_name: str) -> keras.Model:
    """Turns the first kernel from BGR to RGB, so that no layer reorders channels."""
    first = network.get_layer(first_name)
    kernel, bias = first.get_weights()
    first.set_weights([kernel[:, :, ::-1], bias])
    return network


def _resnet18(image_size: tuple[int, int], weights: _Weights) -> keras.Model:
    return get_backbone("resnet18").build_network(image_size, weights)


_BLUE, _GREEN, _RED = IMAGENET_MEAN_BGR
_IMAGENET_MEAN = (_RED, _GREEN, _BLUE)
_ENCODERS = {
    "squeezenet1_1": _Encoder(_squeezenet, "conv1", "fire9_concat", 2, _IMAGENET_MEAN, (1.0,) * 3),
    "resnet18": _Encoder(
        _resnet18, "v2_stack_0_block2_out", "v2_stack_3_block2_out", 4, (0.0,) * 3, (255.0**2,) * 3, "v2_stack_3"
    ),
    "resnet50": _Encoder(_resnet50, "conv2_block3_out", "conv5_block3_out", 4, _IMAGENET_MEAN, (1.0,) * 3, "conv5"),
}
