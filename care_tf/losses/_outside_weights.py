"""M_out with a weight that grows with the distance to the boxes, at the attention map's resolution."""

import tensorflow as tf

from care_tf.masks import project_mask

# A cell counts as the mask's where its share of it is half the largest around it; the rest is room for rounding.
_HALF = 0.499


def outside_weights(mask: tf.Tensor, map_size: tuple[int | tf.Tensor, int | tf.Tensor]) -> tf.Tensor:
    """The weight of every cell of an attention map in the outer term.

    w_ij = o_ij (1 + d_ij / max d)

    o is 1 - mask projected to the map, what the cell weighs in the uniform outer term. d is the Euclidean distance, in
    the mask's pixels, from the cell's center to that of the nearest cell of the mask, one with

    s_ij > 0 and s_ij >= max s / 2 over the 3 x 3 cells around it,

    where s is the mask's share of a cell: a box smaller than a cell has one, too, whatever other boxes there are.

    Args:
      mask: float (B, H, W) in [0, 1].
      map_size: (h, w) of the attention map.

    Returns:
      float32 (B, h, w), >= 0: o_ij times 1 (beside the mask) to 2 (farthest from it). All 0 for a mask that covers the
      frame, o itself for an empty one. Without gradient.

    Source: Zhuang et al. 2023, before Eq. 6, allows "a positive value relevant to the distance" and gives no formula:
      this one is ours.
    """
    outside = project_mask(1.0 - mask, map_size)
    inside = project_mask(mask, map_size)
    share = inside / (outside + inside)
    largest = tf.nn.max_pool2d(share[..., tf.newaxis], 3, 1, "SAME")[..., 0]
    is_empty = tf.reduce_max(share, axis=(1, 2), keepdims=True) == 0.0
    is_inside = (share >= _HALF * largest) & ((share > 0.0) | is_empty)
    distances = _distances(is_inside, [tf.shape(mask)[axis] for axis in (1, 2)])
    farthest = tf.reduce_max(distances, axis=(1, 2), keepdims=True)
    return tf.stop_gradient(outside * (1.0 + tf.math.divide_no_nan(distances, farthest)))


def _distances(is_inside: tf.Tensor, frame_size: list[tf.Tensor]) -> tf.Tensor:
    """float32 (B, h, w): from every cell's center to the nearest where `is_inside`; exact, one axis after the other."""
    columns, rows = _squared_differences(is_inside, 2, frame_size[1]), _squared_differences(is_inside, 1, frame_size[0])
    far = tf.reduce_max(rows) + tf.reduce_max(columns) + 1.0  # farther than any cell, for a row without one
    to_row = tf.where(is_inside, 0.0, far)
    in_row = tf.reduce_min(to_row[:, :, tf.newaxis, :] + columns, axis=3)
    return tf.sqrt(tf.reduce_min(in_row[:, tf.newaxis] + rows[:, :, tf.newaxis], axis=2))


def _squared_differences(cells: tf.Tensor, axis: int, frame_size: tf.Tensor) -> tf.Tensor:
    """float32 (n, n): squared distances of the centers of the n cells along an axis, in pixels of the frame."""
    num_cells = tf.shape(cells)[axis]
    centers = (
        tf.cast(tf.range(num_cells), tf.float32) * tf.cast(frame_size, tf.float32) / tf.cast(num_cells, tf.float32)
    )
    return (centers[:, tf.newaxis] - centers) ** 2
