"""The only module that touches KerasCV: slow to import and at its last release, so it stands behind one door."""

from types import ModuleType
from typing import Any

import keras

from care_tf.errors import InputError


def require_keras_cv(needed_by: str) -> ModuleType:
    """KerasCV itself, imported now.

    Args:
      needed_by: What asks for it, for the message.

    Raises:
      InputError: It cannot be imported.
    """
    try:
        import keras_cv
    except ImportError as error:
        message = f"{needed_by} needs KerasCV, which cannot be imported ({error}): pip install keras-cv"
        raise InputError(message) from error
    return keras_cv


def resnet18_backbone(image_size: tuple[int, int]) -> Any:
    """KerasCV's ResNet18 with random weights: preprocessed images (B,H,W,3) -> (B,H/32,W/32,512).

    Args:
      image_size: Height and width of the images, px.

    Returns:
      A KerasCV backbone, which names its levels in `pyramid_level_inputs`.

    Source: K. He et al., CVPR 2016.
    """
    return require_keras_cv("resnet18").models.ResNetBackbone(
        stackwise_filters=[64, 128, 256, 512],
        stackwise_blocks=[2, 2, 2, 2],
        stackwise_strides=[1, 2, 2, 2],
        block_type="basic_block",
        include_rescaling=False,
        input_shape=(*image_size, 3),
    )


def deeplab_v3_plus(
    backbone: keras.Model, num_classes: int, dilation_rates: list[int], segmentation_head: keras.Model
) -> keras.Model:
    """KerasCV's DeepLabV3+ on any backbone, as a plain model.

    Args:
      backbone: Has the attribute `pyramid_level_inputs`, the names of its layers "P2" (fine) and "P5" (coarse), where
        P5 is eight times smaller than P2.
      num_classes: Channels of the head's output.
      dilation_rates: Of the atrous spatial pyramid pooling.
      segmentation_head: Features at P2's resolution -> class probabilities.

    Returns:
      A Functional model with the layers of KerasCV's: loading it needs `require_keras_cv` first.

    Source: L.-C. Chen et al., ECCV 2018, as built by KerasCV's `DeepLabV3Plus`.
    """
    keras_cv = require_keras_cv("DeepLabV3+")
    built = keras_cv.models.DeepLabV3Plus(
        backbone=backbone,
        num_classes=num_classes,
        spatial_pyramid_pooling=keras_cv.layers.SpatialPyramidPooling(dilation_rates=dilation_rates),
        segmentation_head=segmentation_head,
    )
    return keras.Model(built.input, built.output, name="deeplab_v3_plus")
