"""The mask of an image from its boxes, in the graph."""

import tensorflow as tf


def rasterize_boxes(
    boxes: tf.Tensor, scale_xy: tf.Tensor, height: int, width: int, offset_xy: tf.Tensor | None = None
) -> tf.Tensor:
    """The pixels that scaled boxes cover, in the graph.

    A pixel is set when its center lies in a scaled half-open box; a box that covers no center sets the one pixel
    that holds its own center, so that no box vanishes at low resolution.

    Args:
      boxes: float32 (k,4) half-open boxes x0,y0,x1,y1 in the original image's pixels; k may be 0 and unknown.
      scale_xy: float32 (2,) new width / old width, new height / old height. For boxes in fractions of the image: W, H.
      height, width: H and W of the mask, px.
      offset_xy: float32 (2,), left and top of the image in the mask, px; None: it fills the mask.

    Returns:
      float32 (H,W,1) in {0, 1}.
    """
    scaled = tf.reshape(boxes, (-1, 2, 2)) * scale_xy
    scaled = scaled if offset_xy is None else scaled + offset_xy
    in_columns, column_of_center = _inside_along_axis(scaled[:, :, 0], width)
    in_rows, row_of_center = _inside_along_axis(scaled[:, :, 1], height)
    covers_none = ~(tf.reduce_any(in_columns, axis=1) & tf.reduce_any(in_rows, axis=1))[:, tf.newaxis]
    columns = tf.where(covers_none, column_of_center, in_columns)
    rows = tf.where(covers_none, row_of_center, in_rows)
    num_boxes_at_pixel = tf.matmul(tf.cast(rows, tf.float32), tf.cast(columns, tf.float32), transpose_a=True)
    return tf.cast(num_boxes_at_pixel > 0, tf.float32)[..., tf.newaxis]


def _inside_along_axis(intervals: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Intervals (k,2) -> bool (k,size): the pixels whose centers lie inside, and the one that holds the midpoint."""
    centers = tf.range(size, dtype=tf.float32) + 0.5
    start, stop = intervals[:, :1], intervals[:, 1:]
    midpoint = tf.clip_by_value(tf.floor((start + stop) / 2), 0.0, size - 1.0)
    return (start <= centers) & (centers < stop), midpoint + 0.5 == centers
