"""Networks of `keras.applications`: the paper's by short names, all others as "keras.applications/<Network>"."""

import functools
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from care_tf.backbones._backbone import Backbone, Weights
from care_tf.backbones._local_weights import load_layers, load_weights, require_file
from care_tf.backbones.preprocessing import imagenet_bgr
from care_tf.errors import InputError

APPLICATION_PREFIX = "keras.applications/"


def application_network(network_name: str, image_size: tuple[int, int], weights: Weights = None) -> keras.Model:
    """One network of `keras.applications` without its top, as `Backbone.build_network` gives it.

    Args:
      network_name: The constructor's name, such as "ResNet50".
      image_size: As for `Backbone.build_network`.
      weights: As for `Backbone.build_network`; "imagenet" is downloaded by Keras, then kept in its cache.
    """
    constructor = _constructor(network_name)
    if weights not in (None, "imagenet"):
        require_file(weights)  # before seconds go into building the network
    input_shape = (*image_size, 3)
    try:
        network = constructor(include_top=False, weights=None, input_shape=input_shape)
    except ValueError as error:
        raise InputError(f"{network_name} cannot be built for images of {image_size} px: {error}.") from error
    if weights == "imagenet":
        network = _pretrained(network_name, input_shape=input_shape)
    elif weights is not None:
        load_weights(network, weights)
    return network


def application_backbone(name: str) -> Backbone:
    """The backbone "keras.applications/<Network>", with the preprocessing of the network's own module.

    Raises:
      InputError: There is no such network.
    """
    network_name = name.removeprefix(APPLICATION_PREFIX)
    module = sys.modules[_constructor(network_name).__module__]
    return Backbone(
        name=name,
        attention_layer="auto",
        preprocess=functools.partial(_apply, module.preprocess_input),
        build_network=functools.partial(application_network, network_name),
    )


def _apply(preprocess_input: Callable[[Any], Any], images: tf.Tensor) -> tf.Tensor:
    # A tensor, not an array: for arrays some `preprocess_input` write into their argument.
    return preprocess_input(tf.cast(images, tf.float32))


def _constructor(network_name: str) -> Callable[..., keras.Model]:
    constructor = getattr(keras.applications, network_name, None)
    if not inspect.isfunction(constructor):
        available = [name for name, _ in inspect.getmembers(keras.applications, inspect.isfunction)]
        raise InputError(f"The networks of keras.applications are {', '.join(available)}. Received {network_name!r}.")
    return constructor


def _pretrained(name: str, include_top: bool = False, **settings: Any) -> keras.Model:
    try:
        return _constructor(name)(include_top=include_top, weights="imagenet", **settings)
    except Exception as error:  # A failed download is a bare Exception in Keras; the network itself was built before.
        reason = " ".join(str(error).split())
        raise InputError(
            f"The ImageNet weights of {name} could not be downloaded ({reason}). On a machine without network, copy "
            "the file that Keras names in this error here, and pass its path as weights."
        ) from error


_WIDE_LAYERS = ("fc1", "fc2")


def _two_wide_layers(features: Any) -> Any:
    x = keras.layers.Flatten(name="flatten")(features)
    for name in _WIDE_LAYERS:
        x = keras.layers.Dense(4096, activation="relu", name=name)(x)
    return x


def _load_wide_layers(network: keras.Model, weights: str | os.PathLike) -> bool:
    """The two layers of 4096 from a file with the top, or the published one; fc1 fits images of 224 px only."""
    if weights != "imagenet":
        return load_layers(network, weights, _WIDE_LAYERS)
    if network.input_shape[1:3] != (224, 224):
        return False
    published = _pretrained("VGG19", include_top=True)
    for name in _WIDE_LAYERS:
        network.get_layer(name).set_weights(published.get_layer(name).get_weights())
    return True


def _resnet(name: str, network_name: str, penultimate_block: str) -> Backbone:
    return Backbone(
        name=name,
        attention_layer="conv5_block3_out",
        preprocess=imagenet_bgr,
        build_network=functools.partial(application_network, network_name),
        penultimate_block=penultimate_block,
    )


RESNET50 = _resnet("resnet50", "ResNet50", "conv4_block6_out")
RESNET152 = _resnet("resnet152", "ResNet152", "conv4_block36_out")
# The paper takes VGG19's map before the last pooling, 14 x 14 at 224 px, and starts from all of its ImageNet weights.
VGG19 = Backbone(
    name="vgg19",
    attention_layer="block5_conv4",
    preprocess=imagenet_bgr,
    build_network=functools.partial(application_network, "VGG19"),
    penultimate_block="block4_pool",
    head=_two_wide_layers,
    load_head=_load_wide_layers,
)
