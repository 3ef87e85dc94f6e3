"""ResNet18, which `keras.applications` does not have: KerasCV's, or KerasHub's with its ImageNet weights."""

import os
import re
from typing import Any

import keras
import numpy as np

from care_tf.backbones._backbone import Backbone, Weights
from care_tf.backbones._local_weights import load_weights
from care_tf.backbones.keras_cv_networks import resnet18_backbone
from care_tf.backbones.keras_hub_networks import HUB_PREFIX, hub_backbone
from care_tf.backbones.layer_changes import with_changed_layers
from care_tf.backbones.preprocessing import unit_interval
from care_tf.errors import InputError

_PRESET = "resnet_18_imagenet"
_NUM_PARAMETERS = 11_186_112


def resnet18(image_size: tuple[int, int], weights: Weights = None) -> keras.Model:
    """ResNet18 up to its last activation (B,H/32,W/32,512), as `Backbone.build_network` gives it.

    Args:
      image_size: As for `Backbone.build_network`.
      weights: None or a local file, which need KerasCV; "imagenet", KerasHub's preset resnet_18_imagenet, or the
        folder that it was saved to, which need KerasHub.

    Source: K. He et al., CVPR 2016, as built by KerasCV's `ResNetBackbone`. With a preset, as built by KerasHub, which
      pads as the network was trained; the preset's scaling is a layer of the network.
    """
    if weights == "imagenet":
        return _from_preset(image_size, _PRESET)
    if weights is not None and os.path.isdir(weights):
        return _from_preset(image_size, os.fspath(weights))
    built = resnet18_backbone(image_size)
    # The same layers in a plain model: what is saved with it loads without KerasCV.
    network = keras.Model(built.input, built.output, name="resnet18")
    if weights is not None:
        load_weights(network, weights)
    return network


def _from_preset(image_size: tuple[int, int], preset: str) -> keras.Model:
    """The preset's network on images in [0, 1], its blocks named as KerasCV names them."""
    hub = hub_backbone(HUB_PREFIX + preset)
    network = hub.build_network(image_size, "imagenet")
    if network.count_params() != _NUM_PARAMETERS or network.output.shape[-1] != 512:
        raise InputError(
            f"The preset of resnet18 must be a ResNet18, {_NUM_PARAMETERS:,} parameters and 512 channels. Received "
            f"{preset!r} with {network.count_params():,} and {network.output.shape[-1]}. Write "
            f"model.backbone={HUB_PREFIX}{preset} to take it as it is."
        )

    def change(layer: keras.layers.Layer) -> dict[str, Any]:
        block = re.match(r"stack(\d)_block(\d)_", layer.name)
        if block is None:
            return {}
        return {"name": f"v2_stack_{block[1]}_block{int(block[2]) + 1}_{layer.name[block.end() :]}"}

    black, white = (np.asarray(hub.preprocess(np.full((1, 1, 1, 3), value))).ravel() for value in (0.0, 255.0))
    scaling = keras.layers.Rescaling((white - black).tolist(), black.tolist(), name="preset_scaling")
    renamed = with_changed_layers(network, change, first=scaling)
    return keras.Model(renamed.input, renamed.output, name="resnet18")


RESNET18 = Backbone(
    name="resnet18",
    attention_layer="v2_stack_3_block2_out",
    preprocess=unit_interval,
    build_network=resnet18,
    penultimate_block="v2_stack_2_block2_out",
)
