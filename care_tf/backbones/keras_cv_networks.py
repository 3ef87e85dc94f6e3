"""The only module that touches KerasCV: slow to import and at its last release, so it stands behind one door."""

from types import ModuleType
from typing import Any

import keras

from care_tf.backbones.layer_changes import innermost_layers
from care_tf.extras import require_extra

# Of batch normalization: with Keras's .99 the statistics lag behind the weights in a small set's few steps an epoch, so
# the validation loss, which steers the training, grows.
_MOMENTUM = 0.9


def require_keras_cv(needed_by: str) -> ModuleType:
    """KerasCV itself, imported now; raises an InputError that names what needs it where it is not installed."""
    require_extra(needed_by, "segmentation", "keras_cv")
    import keras_cv

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
    """KerasCV's DeepLabV3+ on any backbone, made of plain Keras layers.

    Args:
      backbone: Has the attribute `pyramid_level_inputs`, the names of its layers "P2" (fine) and "P5" (coarse), where
        P5 is eight times smaller than P2.
      num_classes: Channels of the head's output.
      dilation_rates: Of the atrous spatial pyramid pooling.
      segmentation_head: Features at P2's resolution -> class probabilities.

    Returns:
      A Functional model: what is saved with it loads without KerasCV.

    Raises:
      InputError: KerasCV is not installed.

    Source: L.-C. Chen et al., ECCV 2018, as built by KerasCV's `DeepLabV3Plus`.
    """
    keras_cv = require_keras_cv("DeepLabV3+")
    coarse = backbone.get_layer(backbone.pyramid_level_inputs["P5"]).output
    built = keras_cv.models.DeepLabV3Plus(
        backbone=backbone,
        num_classes=num_classes,
        spatial_pyramid_pooling=_spatial_pyramid_pooling(tuple(coarse.shape[1:]), dilation_rates),
        segmentation_head=segmentation_head,
    )
    return keras.Model(built.input, built.output, name="deeplab_v3_plus")


def deeplab_v3(backbone: keras.Model, dilation_rates: list[int], output: list[keras.layers.Layer]) -> keras.Model:
    """DeepLabV3 on any backbone: KerasCV's pyramid with its image pooling on the last features, and no decoder.

    Args:
      backbone: Preprocessed images -> (B,h,w,d).
      dilation_rates: Of the atrous spatial pyramid pooling.
      output: The layers from its features (B,h,w,256) to the result.

    Source: L.-C. Chen et al., arXiv 1706.05587, 2017. Deviation: batch normalization's momentum is .9, not .9997.
    """
    x = _spatial_pyramid_pooling(tuple(backbone.output.shape[1:]), dilation_rates)(backbone.output)
    for layer in output:
        x = layer(x)
    model = keras.Model(backbone.input, x, name="deeplab_v3")
    for layer in innermost_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = _MOMENTUM
    return model


def _spatial_pyramid_pooling(shape: tuple[int, int, int], dilation_rates: list[int]) -> keras.Model:
    """KerasCV's pyramid in a plain model: features of `shape` -> (h,w,256)."""
    pyramid = require_keras_cv("DeepLab").layers.SpatialPyramidPooling(dilation_rates=dilation_rates)
    pyramid.build((None, *shape))
    return plain_pyramid(pyramid, shape)


def plain_pyramid(pyramid: Any, shape: tuple[int, int, int]) -> keras.Model:
    """The layers inside KerasCV's pyramid, or KerasHub's, in a plain model: features of `shape` -> (h,w,256).

    Trains bit for bit as KerasCV's layer does: the branches stand in its order and under its names, by which
    TensorFlow orders the sum of their gradients.
    """
    *dilated, pooled = pyramid.aspp_parallel_channels
    # Not `Resizing`, as in KerasCV: its `training=True` would reach the batch normalizations behind it.
    upsampling = keras.layers.UpSampling2D(shape[:2], interpolation="bilinear", name="pooled_upsampling")
    branches = [*dilated, keras.Sequential([*pooled.layers, upsampling], name=pooled.name)]
    features = keras.Input(shape, name="pyramid_features")
    joined = keras.layers.Concatenate(name="pyramid_branches")([branch(features) for branch in branches])
    model = keras.Model(features, pyramid.projection(joined), name=pyramid.name)
    # As KerasCV's layer has it: Keras 3 would otherwise compile the training with XLA, whose sums round differently.
    model.supports_jit = False
    return model
