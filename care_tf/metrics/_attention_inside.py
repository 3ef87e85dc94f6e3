"""Attention inside the box: which share of an attention map's energy lies inside the mask."""

import keras
import tensorflow as tf

from care_tf.keras_generation import register, set_direction
from care_tf.masks import share_inside
from care_tf.metrics._class_counts import weight_column


def attention_inside_share(attention: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Share of every map's energy that lies inside its mask.

        share = sum(M * R F) / sum(R F),   R = bilinear resize of the map to the mask's size

    Args:
      attention: (B, h, w) float >= 0.
      mask: (B, H, W) or (B, H, W, 1) in [0, 1].

    Returns:
      (B,) float32 in [0, 1]; 0 for a map without energy. A uniform map gives the mask's share of the frame.
    """
    attention = tf.cast(tf.convert_to_tensor(attention), tf.float32)
    mask = tf.cast(tf.convert_to_tensor(mask), tf.float32)
    return share_inside(attention, mask)


@register
class AttentionInside(keras.metrics.Metric):
    """Mean of `attention_inside_share` over the images that have a mask; NaN when none has.

    Args:
      name: Name in fit's logs.
      dtype: Dtype of the state; float32 also under a mixed-precision policy.

    `update_state(attention, mask)` takes the map in place of the labels: (B, h, w) and (B, H, W) or
    (B, H, W, 1). An all-zero mask means "no box" and is not counted.
    """

    def __init__(self, name="attention_inside", dtype=None):
        super().__init__(name=name, dtype=dtype)
        set_direction(self, "up")
        self.total = self.add_weight(name="total", shape=(), initializer="zeros")
        self.count = self.add_weight(name="count", shape=(), initializer="zeros")

    @tf.autograph.experimental.do_not_convert  # converted, as Keras 2.15 does, an InputError changes its type
    def update_state(self, attention, mask, sample_weight=None):
        """Adds one batch."""
        mask = tf.cast(tf.convert_to_tensor(mask), tf.float32)
        has_mask = tf.reduce_any(mask > 0, axis=list(range(1, mask.shape.rank)))
        weight = tf.cast(has_mask, tf.float32) * weight_column(sample_weight, mask)[:, 0]
        share = attention_inside_share(attention, mask)
        self.total.assign_add(tf.cast(tf.reduce_sum(share * weight), self.total.dtype))
        self.count.assign_add(tf.cast(tf.reduce_sum(weight), self.count.dtype))

    def result(self):
        """Mean share over the masked images since the last reset."""
        return tf.convert_to_tensor(self.total) / tf.convert_to_tensor(self.count)
