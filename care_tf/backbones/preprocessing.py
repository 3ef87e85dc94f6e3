"""From RGB 0..255 to what a network was trained on, in plain TensorFlow operations: they also run in `Dataset.map`
and inside an exported model."""

import tensorflow as tf

IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)


def imagenet_bgr(images: tf.Tensor) -> tf.Tensor:
    """RGB 0..255 (..., 3) -> blue first, ImageNet mean subtracted, scale kept, float32: `images[..., ::-1] - mean`.

    Source: the "caffe" mode of `keras.applications` (ResNet, VGG); SqueezeNet 1.1 was converted from Caffe, too.
    """
    images = tf.cast(images, tf.float32)
    return tf.reverse(images, axis=[-1]) - tf.constant(IMAGENET_MEAN_BGR, tf.float32)


def unit_interval(images: tf.Tensor) -> tf.Tensor:
    """RGB 0..255 (..., 3) -> 0..1, float32: `images / 255`.

    Source: the rescaling KerasCV's ResNet backbones were trained with.
    """
    return tf.cast(images, tf.float32) / 255.0


def minus_one_to_one(images: tf.Tensor) -> tf.Tensor:
    """RGB 0..255 (..., 3) -> -0.99..1, float32: `(images - 127) / 128`.

    Source: `MEAN_RGB` and `STDDEV_RGB` of the authors' release of EfficientNet-Lite.
    """
    return (tf.cast(images, tf.float32) - 127.0) / 128.0


def identity(images: tf.Tensor) -> tf.Tensor:
    """The images as they are, float32: for networks that preprocess inside themselves."""
    return tf.cast(images, tf.float32)
