"""Networks of KerasHub as "keras_hub/<preset>": the name of a preset, or the folder that one was saved to."""

import functools
from typing import Any

import keras
import tensorflow as tf

from care_tf.backbones._backbone import Backbone, Weights
from care_tf.backbones._local_weights import load_weights
from care_tf.errors import InputError
from care_tf.extras import require_extra

HUB_PREFIX = "keras_hub/"


def hub_network(preset: str, image_size: tuple[int, int], weights: Weights = None) -> keras.Model:
    """The backbone of a preset, as `Backbone.build_network` gives it.

    Args:
      preset: A preset's name, such as "resnet_18_imagenet", or the folder that one was saved to.
      image_size: As for `Backbone.build_network`.
      weights: As for `Backbone.build_network`; "imagenet" is the preset's own, which KerasHub downloads and keeps.
    """
    settings = {"load_weights": weights == "imagenet", "image_shape": (*image_size, 3)}
    network = _loaded(_hub().models.Backbone, preset, **settings)
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
    converter = _loaded(_hub().layers.ImageConverter, preset)
    return Backbone(
        name=name,
        attention_layer="auto",
        preprocess=functools.partial(_scaled, converter.scale, converter.offset),
        build_network=functools.partial(hub_network, preset),
    )


def _scaled(scale: Any, offset: Any, images: tf.Tensor) -> tf.Tensor:
    """What the preset's converter does to images that have the right size already."""
    images = tf.cast(images, tf.float32)
    images = images if scale is None else images * tf.constant(scale, tf.float32)
    return images if offset is None else images + tf.constant(offset, tf.float32)


def _hub() -> Any:
    require_extra("A backbone of KerasHub", "hub", "keras_hub")
    import keras_hub

    return keras_hub


def _loaded(kind: Any, preset: str, **settings: Any) -> Any:
    try:
        return kind.from_preset(preset, **settings)
    except Exception as error:  # KerasHub, and whatever it downloads with, raise what they like
        reason = str(error).splitlines()[0]
        raise InputError(f"KerasHub cannot load the preset {preset!r} as {kind.__name__}: {reason}.") from error
