"""Backbones by name."""

from care_tf.backbones._applications import APPLICATION_PREFIX, RESNET50, RESNET152, VGG19, application_backbone
from care_tf.backbones._backbone import Backbone
from care_tf.backbones._efficientnet_lite0 import EFFICIENTNET_LITE0
from care_tf.backbones._resnet18 import RESNET18
from care_tf.backbones._small_cnn import SMALL_CNN
from care_tf.backbones._user_builder import user_backbone
from care_tf.backbones.keras_hub_networks import HUB_PREFIX, hub_backbone
from care_tf.backbones.squeezenet import SQUEEZENET1_1
from care_tf.errors import InputError, did_you_mean
from care_tf.named_function import is_own

_NAMED = {
    backbone.name: backbone
    for backbone in (RESNET18, RESNET50, RESNET152, VGG19, SQUEEZENET1_1, EFFICIENTNET_LITE0, SMALL_CNN)
}


def backbone_names() -> tuple[str, ...]:
    """The names listed here; "keras.applications/<Network>", "keras_hub/<preset>" and "module:function" are accepted,
    too."""
    return tuple(_NAMED)


def get_backbone(name: str) -> Backbone:
    """A backbone by its name.

    Args:
      name: One of `backbone_names()`, "keras.applications/<Network>" (the constructor's exact spelling, such as
        "keras.applications/EfficientNetB0"), "keras_hub/<preset>", or "module:function".

    Raises:
      InputError: The name is none of these.

    Example:
      >>> get_backbone("resnet50").attention_layer
      'conv5_block3_out'
    """
    if name in _NAMED:
        return _NAMED[name]
    if name.startswith(APPLICATION_PREFIX):
        return application_backbone(name)
    if name.startswith(HUB_PREFIX):
        return hub_backbone(name)
    if is_own(name):
        return user_backbone(name)
    raise InputError(
        f"A backbone must be one of {', '.join(_NAMED)}, {APPLICATION_PREFIX}<Network>, {HUB_PREFIX}<preset>, or "
        f"module:function. Received {name!r}.{did_you_mean(name, _NAMED)}"
    )
