"""ResNet18, which `keras.applications` does not have, from KerasCV."""

import keras

from care_tf.backbones._backbone import Backbone, Weights
from care_tf.backbones.keras_cv_networks import resnet18_backbone
from care_tf.backbones.local_weights import load_weights
from care_tf.backbones.preprocessing import unit_interval
from care_tf.errors import InputError


def resnet18(image_size: tuple[int, int], weights: Weights = None) -> keras.Model:
    """ResNet18 up to its last activation (B,H/32,W/32,512), as `Backbone.build_network` gives it; needs KerasCV.

    Source: K. He et al., CVPR 2016, as built by KerasCV's `ResNetBackbone`.
    """
    if weights == "imagenet":
        raise InputError(
            "KerasCV publishes no ImageNet weights for resnet18. Pass the path of a local file, None, or use resnet50."
        )
    built = resnet18_backbone(image_size)
    # The same layers in a plain model: what is saved with it loads without KerasCV.
    network = keras.Model(built.input, built.output, name="resnet18")
    if weights is not None:
        load_weights(network, weights)
    return network


RESNET18 = Backbone(
    name="resnet18",
    attention_layer="v2_stack_3_block2_out",
    preprocess=unit_interval,
    default_image_size_px=224,
    build_network=resnet18,
    penultimate_block="v2_stack_2_block2_out",
)
