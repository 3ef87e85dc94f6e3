"""The losses of positive attention: how much of it lies outside the mask, and how far it is from the mask."""

import tensorflow as tf

from care_tf.masks import project_mask, share_inside, squeeze_mask
from care_tf.precision import at_least_float32


def attention_energy(attention: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """The share of each map's energy that lies outside its mask.

    L_i = 1 - sum(M_in * A) / sum(A)

    A is the map resized to the mask. The loss does not change with the map's scale, so neither does its gradient
    depend on whether the map was divided by its largest value: what the division adds cancels. Where inside the mask
    the attention lies does not matter, so boxes may be coarse.

    Args:
      attention: float (B, h, w) >= 0: positive parts of activation maps, at any scale and resolution.
      mask: (B, H, W) or (B, H, W, 1), 1 inside the boxes and 0 outside; all zeros for "no box".

    Returns:
      float32 (B,) (float64 of float64 attention) in [0, 1]; exactly 0, without a gradient, for an image without a mask
      or a map without energy.

    Example:
      >>> import tensorflow as tf
      >>> attention_energy(tf.constant([[[3.0, 1.0]]]), tf.constant([[[1.0, 0.0]]])).numpy().tolist()
      [0.25]

    Source: Rao et al., "Studying How to Efficiently and Effectively Guide Models with Explanations", ICCV 2023, the
      energy pointing game as a loss. 0 for a map without energy is ours (0/0 there).
    """
    attention, mask = at_least_float32(attention), squeeze_mask(mask)
    return _where_both(attention, mask, 1.0 - share_inside(attention, mask))


def attention_distance(attention: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """The mean distance of each map from its mask, L1.

    L_i = mean over all pixels of abs(M_in - A)

    A is the map resized to the mask. Of a mask that is neither 0 nor 1 somewhere, such as one that was rotated, it is
    the expectation for a pixel that is inside with that probability, M (1 - A) + (1 - M) A; the same for 0 and 1.

    Args:
      attention: float (B, h, w) in [0, 1]: positive parts of activation maps, each divided by its largest value.
      mask: As for `attention_energy`.

    Returns:
      float32 (B,) (float64 of float64 attention) in [0, 1]; exactly 0, without a gradient, for an image without a mask
      or a map without energy.

    Example:
      >>> import tensorflow as tf
      >>> attention_distance(tf.constant([[[1.0, 0.5]]]), tf.constant([[[1.0, 0.0]]])).numpy().tolist()
      [0.25]

    Source: Rao et al., ICCV 2023. 0 for a map without energy is ours: it has no gradient.
    """
    attention, mask = at_least_float32(attention), squeeze_mask(mask)
    # Linear in A: inner products with projected masks, no map at the image's size.
    map_size = tuple(attention.shape[axis] or tf.shape(attention)[axis] for axis in (1, 2))
    sign = tf.cast(project_mask(tf.ones_like(mask), map_size) - 2.0 * project_mask(mask, map_size), attention.dtype)
    num_pixels = tf.cast(tf.reduce_prod(tf.shape(mask)[1:]), attention.dtype)
    inside = tf.cast(tf.reduce_sum(mask, axis=(1, 2)), attention.dtype)
    distance = (inside + tf.reduce_sum(sign * attention, axis=(1, 2))) / num_pixels
    return _where_both(attention, mask, distance)


def _where_both(attention: tf.Tensor, mask: tf.Tensor, losses: tf.Tensor) -> tf.Tensor:
    """The losses of the images that have both a mask and attention, 0 for the others."""
    has_both = tf.reduce_any(mask > 0, axis=(1, 2)) & tf.reduce_any(attention > 0, axis=(1, 2))
    return tf.where(has_both, losses, tf.zeros_like(losses))
