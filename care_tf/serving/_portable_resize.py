"""The resize of training as two matrix products, for runtimes that lack TensorFlow's antialiased one."""

from typing import Any

import tensorflow as tf

from care_tf.images.resize_choice import STRETCH
from care_tf.images.resizing import placement


def portable_resize(images: tf.Tensor, image_size: tuple[int, int], resize: str = STRETCH) -> tf.Tensor:
    """`care_tf.images.resizing.resize_images`; images that have the size pass untouched.

    resized = R_h image R_w^T, with a triangle of half width max(scale, 1) px around each output pixel's center in R,
    and rows of zeros for pixels beside a padded image

    Sums are added in another order: a value halfway between two whole numbers may be rounded the other way.

    Args:
      images: float32 (B,h,w,3) RGB, 0..255.
      image_size: Height and width to resize to, px.
      resize: "stretch" or "pad".

    Returns:
      float32 (B,H,W,3), 0..255.
    """
    height, width = image_size
    size = tf.shape(images)
    columns_joined = tf.reshape(images, (-1, size[1], size[2] * 3))
    place = placement(size[1:3], image_size, resize)
    rows_done = tf.matmul(_weights(size[1], place.top, place.height, height), columns_joined)
    columns = _weights(size[2], place.left, place.width, width)
    both_done = tf.matmul(columns, tf.reshape(rows_done, (-1, size[2], 3)))
    resized = tf.reshape(both_done, (-1, height, width, 3))
    has_size = tf.logical_and(tf.equal(size[1], height), tf.equal(size[2], width))
    return tf.where(has_size, resized, tf.clip_by_value(tf.round(resized), 0.0, 255.0))


def _weights(num_in: tf.Tensor, first: Any, num_out: Any, num_all: int) -> tf.Tensor:
    """float32 (num_all, num_in): `num_out` rows of sum 1 from `first` on, exactly the identity for `num_in` of them."""
    scale = tf.cast(num_in, tf.float32) / tf.cast(num_out, tf.float32)
    positions = tf.range(num_all, dtype=tf.float32)[:, tf.newaxis] - tf.cast(first, tf.float32)
    distances = tf.abs(tf.cast(tf.range(num_in), tf.float32) + 0.5 - (positions + 0.5) * scale)
    triangles = tf.nn.relu(1.0 - distances / tf.maximum(scale, 1.0))
    is_inside = tf.cast((positions >= 0.0) & (positions < tf.cast(num_out, tf.float32)), tf.float32)
    return is_inside * triangles / (tf.reduce_sum(triangles, axis=1, keepdims=True) + (1.0 - is_inside))
