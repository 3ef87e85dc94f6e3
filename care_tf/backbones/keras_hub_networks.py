"""Networks of KerasHub as "keras_hub/<preset>": the name of a preset, or the folder that one was saved to."""

import functools
from types import ModuleType
from typing import Any

import keras
import tensorflow as tf

from care_tf.backbones._backbone import Backbone, Weights
from care_tf.backbones._local_weights import load_weights
from care_tf.backbones.keras_cv_networks import plain_pyramid
from care_tf.backbones.layer_changes import innermost_layers
from care_tf.errors import InputError
from care_tf.extras import require_extra

HUB_PREFIX = "keras_hub/"


def require_keras_hub(needed_by: str = "A backbone of KerasHub") -> ModuleType:
    """KerasHub itself, imported now; raises an InputError that names what needs it where it is not installed."""
    require_extra(needed_by, "hub", "keras_hub")
    import keras_hub

    return keras_hub


def hub_network(preset: str, image_size: tuple[int, int], weights: Weights = None) -> keras.Model:
    """The backbone of a preset, as `Backbone.build_network` gives it.

    Args:
      preset: A preset's name, such as "resnet_18_imagenet", or the folder that one was saved to.
      image_size: As for `Backbone.build_network`.
      weights: As for `Backbone.build_network`; "imagenet" is the preset's own, which KerasHub downloads and keeps.
    """
    settings = {"load_weights": weights == "imagenet", "image_shape": (*image_size, 3)}
    network = _loaded(require_keras_hub().models.Backbone, preset, **settings)
    if len(network.output.shape) not in (3, 4):
        raise InputError(
            "A backbone must give features (batch, h, w, channels) or tokens (batch, n, channels). Received "
            f"{network.output.shape} from {preset!r}. Build such a network in a function of your own, module:function, "
            "which makes its own head."
        )
    if weights not in (None, "imagenet"):
        load_weights(network, weights)
    return keras.Model(network.input, network.output, name=network.name)


def hub_backbone(name: str) -> Backbone:
    """The backbone "keras_hub/<preset>", with the preset's own preprocessing.

    Raises:
      InputError: KerasHub is missing or cannot load the preset.
    """
    preset = name.removeprefix(HUB_PREFIX)
    converter = _loaded(require_keras_hub().layers.ImageConverter, preset)
    return Backbone(
        name=name,
        attention_layer="auto",
        preprocess=functools.partial(_scaled, converter.scale, converter.offset),
        build_network=functools.partial(hub_network, preset),
    )


def hub_deeplab(preset: str, image_size: tuple[int, int]) -> keras.Model:
    """The DeepLabV3 or V3+ of a preset up to its logits, with the preset's weights and scaling.

    Args:
      preset: As for `hub_network`.
      image_size: Height and width of the images, px.

    Returns:
      A Functional model: (B,H,W,3) RGB 0..255 -> features (B,h,w,256), of Keras' own layers: what is saved with it
      loads without KerasHub.

    Raises:
      InputError: KerasHub is missing or cannot load the preset as a DeepLab, the size does not fit it, or its encoder
        has layers of KerasHub.

    Source: KerasHub's `DeepLabV3Backbone`. Deviation: without its last layer, which upsamples to the image's size.
    """
    hub = require_keras_hub("DeepLab of KerasHub")
    network = _loaded(hub.models.DeepLabV3Backbone, preset)
    converter = _loaded(hub.layers.ImageConverter, preset)
    stride = 2 ** int(network.spatial_pyramid_pooling_key[-1])
    own = network.image_encoder.input.shape[1:3]
    if any(side < 1 or side % stride for side in image_size) or own not in ((None, None), tuple(image_size)):
        wanted = f"in multiples of {stride} px" if None in own else f"{own}, with which its encoder was saved,"
        raise InputError(f"image_size must be (height, width) {wanted} for {preset}. Received {tuple(image_size)}.")

    foreign = {type(layer) for layer in innermost_layers(network.image_encoder)}
    if names := sorted(kind.__name__ for kind in foreign if not kind.__module__.startswith("keras.")):
        raise InputError(
            f"A DeepLab's encoder must be made of Keras' own layers, as a ResNet is. Received {', '.join(names)} in "
            f"{preset}. Choose another preset."
        )

    def call(layer: Any, features: Any, **options: Any) -> Any:
        is_pyramid = hasattr(layer, "aspp_parallel_channels")
        return (plain_pyramid(layer, tuple(features.shape[1:])) if is_pyramid else layer)(features, **options)

    images = keras.Input((*image_size, 3), name="image")
    head = keras.Model(network.input, network.get_layer("segmentation_head_relu").output, name="features")
    plain = keras.models.clone_model(head, images, clone_function=lambda layer: layer, call_function=call)
    scaling = keras.layers.Rescaling(converter.scale or 1.0, converter.offset or 0.0, name="preset_scaling")
    return keras.Model(images, plain(scaling(images)))


def _scaled(scale: Any, offset: Any, images: tf.Tensor) -> tf.Tensor:
    """What the preset's converter does to images that have the right size already."""
    images = tf.cast(images, tf.float32)
    images = images if scale is None else images * tf.constant(scale, tf.float32)
    return images if offset is None else images + tf.constant(offset, tf.float32)


def _loaded(kind: Any, preset: str, **settings: Any) -> Any:
    try:
        return kind.from_preset(preset, **settings)
    except Exception as error:  # KerasHub, and whatever it downloads with, raise what they like
        reason = str(error).splitlines()[0]
        raise InputError(f"KerasHub cannot load the preset {preset!r} as {kind.__name__}: {reason}.") from error
