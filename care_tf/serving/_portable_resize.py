"""The resize of training as two matrix products, for runtimes that lack TensorFlow's antialiased one."""

import tensorflow as tf


def portable_resize(images: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    """`care_tf.images.decoding.resize_images`; images that have the size pass untouched.

    resized = R_h image R_w^T, with a triangle of half width max(scale, 1) px around each output pixel's center in R

    Sums are added in another order: a value halfway between two whole numbers may be rounded the other way.

    Args:
      images: float32 (B,h,w,3) RGB, 0..255.
      image_size: Height and width to resize to, px.

    Returns:
      float32 (B,H,W,3), 0..255.
    """
    height, width = image_size
    size = tf.shape(images)
    columns_joined = tf.reshape(images, (-1, size[1], size[2] * 3))
    rows_done = tf.matmul(_weights(size[1], height), columns_joined)
    both_done = tf.matmul(_weights(size[2], width), tf.reshape(rows_done, (-1, size[2], 3)))
    resized = tf.reshape(both_done, (-1, height, width, 3))
    has_size = tf.logical_and(tf.equal(size[1], height), tf.equal(size[2], width))
    return tf.where(has_size, resized, tf.clip_by_value(tf.round(resized), 0.0, 255.0))


def _weights(num_in: tf.Tensor, num_out: int) -> tf.Tensor:
    """float32 (num_out, num_in), rows of sum 1; exactly the identity where both are equal."""
    scale = tf.cast(num_in, tf.float32) / num_out
    centers = (tf.range(num_out, dtype=tf.float32)[:, tf.newaxis] + 0.5) * scale
    distances = tf.abs(tf.cast(tf.range(num_in), tf.float32) + 0.5 - centers)
    triangles = tf.nn.relu(1.0 - distances / tf.maximum(scale, 1.0))
    return triangles / tf.reduce_sum(triangles, axis=1, keepdims=True)
