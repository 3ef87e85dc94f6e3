"""Normalization of activation maps to [0, 1], safe where there is nothing to normalize."""

import tensorflow as tf

from care_tf.errors import InputError

# A float32 map summed over thousands of channels carries rounding noise of about 1e-6 of its size. Stretching that
# noise to [0, 1] would train on nothing, with gradients divided by the noise.
FLAT_RELATIVE_RANGE = 1e-6
FLAT_ABSOLUTE_RANGE = 1e-10


def normalize_map(activation_map: tf.Tensor, normalization: str = "min_max") -> tf.Tensor:
    """Scales each image's map to [0, 1]; a map with nothing to scale becomes all zeros.

    min_max:   F <- (F - min F) / max(F - min F)
    positive:  F <- max(F, 0) / max(max(F, 0))

    There is nothing to scale where the denominator is at most 1e-6 of the map's largest absolute value, or at most
    1e-10: a flat map, or one without a positive part. It then has exactly zero gradient, and every loss of attention
    is exactly 0 for its image.

    Args:
      activation_map: float (B, h, w).
      normalization: "min_max", or "positive".

    Returns:
      float (B, h, w) in [0, 1], the dtype of the input.

    Raises:
      InputError: `normalization` is another word.

    Source: Zhuang et al. 2023, Algorithm 1, which normalizes before resizing and is undefined on a flat map; Rao et
      al., ICCV 2023, for "positive".
    """
    if normalization == "min_max":
        shifted = activation_map - tf.reduce_min(activation_map, axis=(1, 2), keepdims=True)
    elif normalization == "positive":
        shifted = tf.nn.relu(activation_map)
    else:
        raise InputError(f"normalization must be min_max or positive. Received normalization={normalization!r}.")
    value_range = tf.reduce_max(shifted, axis=(1, 2), keepdims=True)
    size = tf.reduce_max(tf.abs(activation_map), axis=(1, 2), keepdims=True)
    is_flat = value_range <= tf.maximum(FLAT_RELATIVE_RANGE * size, FLAT_ABSOLUTE_RANGE)
    normalized = shifted / tf.where(is_flat, tf.ones_like(value_range), value_range)
    return tf.where(is_flat, tf.zeros_like(normalized), normalized)
