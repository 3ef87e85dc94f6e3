"""Masks at the attention map's resolution: inner products with a resized map, without resizing the map."""

import functools

import numpy as np
import tensorflow as tf

from care_tf.errors import InputError


def interpolation_matrix(output_size: int | tf.Tensor, input_size: int | tf.Tensor) -> tf.Tensor:
    """Bilinear interpolation along one axis as a matrix.

    `y = R x` resizes a line of `input_size` values to `output_size` values, sampling at half-pixel centers and
    repeating the border: the same numbers as `tf.image.resize(method="bilinear", antialias=False)`.

    Args:
      output_size: Number of values after resizing (H or W); int or int32 scalar.
      input_size: Number of values before resizing (h or w); int or int32 scalar.

    Returns:
      float32 (output_size, input_size); every row sums to 1.
    """
    if isinstance(output_size, int) and isinstance(input_size, int):
        return tf.constant(_known_matrix(output_size, input_size))
    scale = tf.cast(input_size, tf.float32) / tf.cast(output_size, tf.float32)
    centers = (tf.cast(tf.range(output_size), tf.float32) + 0.5) * scale - 0.5
    centers = tf.clip_by_value(centers, 0.0, tf.cast(input_size, tf.float32) - 1.0)
    distances = tf.abs(centers[:, None] - tf.cast(tf.range(input_size), tf.float32)[None, :])
    return tf.maximum(1.0 - distances, 0.0)


@functools.lru_cache(maxsize=64)
def _known_matrix(output_size: int, input_size: int) -> np.ndarray:
    """The same, for sizes that are known while a step is traced: one constant in place of a dozen operations."""
    centers = (np.arange(output_size, dtype=np.float32) + np.float32(0.5)) * (
        np.float32(input_size) / np.float32(output_size)
    ) - np.float32(0.5)
    distances = np.abs(np.clip(centers, 0, input_size - 1)[:, None] - np.arange(input_size, dtype=np.float32))
    return np.maximum(np.float32(1) - distances, np.float32(0))


def project_mask(mask: tf.Tensor, map_size: tuple[int | tf.Tensor, int | tf.Tensor]) -> tf.Tensor:
    """Projects a mask to an attention map's resolution so that inner products are kept.

    P = Ry^T M Rx, hence sum(M * resize(F)) = sum(P * F) for every map F.

    The exact replacement for resizing maps to the image: two small matrix products, no (H, W) map, and gradients
    of every order (the second-order gradient of TensorFlow's bilinear resize is silently None).

    Args:
      mask: (B, H, W) or (B, H, W, 1), any real dtype.
      map_size: (h, w) of the attention map.

    Returns:
      float32 (B, h, w); sums to the mask's own sum.

    Source: Zhuang et al. 2023, Algorithm 1 resizes the map instead; the result is equal.
    """
    mask = squeeze_mask(mask)
    size = [mask.shape[axis] if mask.shape[axis] is not None else tf.shape(mask)[axis] for axis in (1, 2)]
    rows = interpolation_matrix(size[0], map_size[0])
    columns = interpolation_matrix(size[1], map_size[1])
    return tf.einsum("Hh,bHW,Ww->bhw", rows, mask, columns)


def resize_map(values: tf.Tensor, size: tuple[int | tf.Tensor, int | tf.Tensor]) -> tf.Tensor:
    """Bilinear resize of maps by the two matrix products that `project_mask` transposes, with all of its gradients.

    resized = Ry F Rx^T

    Args:
      values: F, float (B, h, w).
      size: (H, W).

    Returns:
      (B, H, W), the dtype of `values`.
    """
    given = [values.shape[axis] if values.shape[axis] is not None else tf.shape(values)[axis] for axis in (1, 2)]
    rows, columns = (
        tf.cast(interpolation_matrix(output, length), values.dtype) for output, length in zip(size, given, strict=True)
    )
    return tf.einsum("Hh,bhw,Ww->bHW", rows, values, columns)


def share_inside(values: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Which share of a map's energy lies inside a mask.

        share = sum(M * R A) / sum(R A),   R = bilinear resize of the map to the mask's size

    Both sums are taken at the map's resolution, with the projected masks R^T M and R^T 1, which is the same number.

    Args:
      values: A, float (B, h, w) >= 0.
      mask: M, (B, H, W) or (B, H, W, 1) in [0, 1].

    Returns:
      (B,) in [0, 1], the dtype of `values`; 0, without a gradient, for a map without energy.
    """
    height, width = (values.shape[axis] or tf.shape(values)[axis] for axis in (1, 2))
    weights = (project_mask(region, (height, width)) for region in (mask, tf.ones_like(mask)))
    inside, energy = (tf.reduce_sum(values * tf.cast(each, values.dtype), axis=[1, 2]) for each in weights)
    return tf.math.divide_no_nan(inside, energy)


def squeeze_mask(mask: tf.Tensor) -> tf.Tensor:
    """Returns the mask as float32 (B, H, W) in [0, 1].

    Args:
      mask: (B, H, W) or (B, H, W, 1), any dtype. Values above 1 become 1: a mask of 0 and 255 is one of 0 and 1.

    Returns:
      float32 (B, H, W) in [0, 1].

    Raises:
      InputError: The mask has another rank or more than one channel.
    """
    mask = tf.convert_to_tensor(mask)
    if mask.shape.rank == 4 and mask.shape[-1] in (1, None):
        mask = mask[..., 0]
    if mask.shape.rank != 3:
        raise InputError(
            "A mask batch must have shape (batch, height, width) or (batch, height, width, 1), 1 inside the boxes and "
            f"0 outside. Received shape {mask.shape}. Add or drop an axis where the dataset makes the mask."
        )
    return tf.clip_by_value(tf.cast(mask, tf.float32), 0.0, 1.0)
