"""Min-max normalization of activation maps, safe where a map is flat."""

import tensorflow as tf

# A float32 map summed over thousands of channels carries rounding noise of about 1e-6 of its size. Stretching that
# noise to [0, 1] would train on nothing, with gradients divided by the noise.
FLAT_RELATIVE_RANGE = 1e-6
FLAT_ABSOLUTE_RANGE = 1e-10


def normalize_map(activation_map: tf.Tensor) -> tf.Tensor:
    """Scales each image's map to [0, 1]; a flat map becomes all zeros.

    F <- (F - min F) / max(F - min F)

    A map is flat when its range is at most 1e-6 of its largest absolute value, or at most 1e-10. It then has exactly
    zero gradient, and both attention terms of its image are exactly 0.

    Args:
      activation_map: float (B, h, w).

    Returns:
      float (B, h, w) in [0, 1], the dtype of the input.

    Source: Zhuang et al. 2023, Algorithm 1, which normalizes before resizing and is undefined on a flat map.
    """
    shifted = activation_map - tf.reduce_min(activation_map, axis=(1, 2), keepdims=True)
    value_range = tf.reduce_max(shifted, axis=(1, 2), keepdims=True)
    size = tf.reduce_max(tf.abs(activation_map), axis=(1, 2), keepdims=True)
    is_flat = value_range <= tf.maximum(FLAT_RELATIVE_RANGE * size, FLAT_ABSOLUTE_RANGE)
    normalized = shifted / tf.where(is_flat, tf.ones_like(value_range), value_range)
    return tf.where(is_flat, tf.zeros_like(normalized), normalized)
