"""The attention loss of the maps of several attention layers."""

from collections.abc import Sequence

import tensorflow as tf

from care_tf.attention import normalize_map
from care_tf.losses import AttentionLoss


def map_losses(loss: AttentionLoss, maps: Sequence[tf.Tensor], mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """L_i of each image, the mean over the maps of n attention layers.

    L_i = (1/n) sum_l L_i(M_l, B)

    A flat map has a loss of 0, and counts in n.

    Args:
      loss: L_i(M, B), and how it takes a map.
      maps: n of float (B, h, w), not normalized; h and w may differ between them.
      mask: (B, H, W) or (B, H, W, 1), B of the formula, at the images' size.

    Returns:
      L_i, (B,) in the maps' dtype; and bool (B,), whether a map of the image is flat, and has no gradient.
    """
    taken = [normalize_map(each, loss.normalization) for each in maps]
    is_flat = [~tf.reduce_any(each > 0, axis=(1, 2)) for each in taken]
    mean = tf.add_n([loss.per_image(each, mask) for each in taken]) / len(taken)
    return mean, tf.reduce_any(tf.stack(is_flat), axis=0)
