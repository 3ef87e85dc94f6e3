"""Images without what lies outside their boxes: painted out, or cut off, in the graph."""

import tensorflow as tf

PAINT_LEVEL = 128.0
"""The gray that is painted, of 0..255. A mean color would tell what lay there: a dark frame makes it darker."""


def paint_outside(image: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """The image with gray wherever its mask is 0; an image whose mask is 0 everywhere has no box, and stays.

    Args:
      image: float32 (H,W,3), 0..255.
      mask: (H,W,1), above 0 inside.

    Returns:
      float32 (H,W,3).
    """
    is_inside = mask > 0
    return tf.where(is_inside | ~tf.reduce_any(is_inside), image, PAINT_LEVEL)


def region_of_boxes(boxes: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """The smallest part of an image, in whole pixels, that holds all its boxes; the whole image without any.

    Args:
      boxes: float32 (k,4) x0,y0,x1,y1 in the image's pixels; k may be 0 and unknown.
      size: int32 (2,), the image's height and width, px.

    Returns:
      int32 (4,), half-open x0,y0,x1,y1, at least one pixel.
    """
    low, high = tf.reduce_min(boxes[:, :2], axis=0), tf.reduce_max(boxes[:, 2:], axis=0)
    # The smallest of nothing is infinite: clipped, it is the far corner, and no region.
    edges = tf.concat([tf.floor(low), tf.math.ceil(high)], axis=0)
    return _or_whole(tf.cast(tf.clip_by_value(edges, 0.0, tf.cast(_far_corners(size), tf.float32)), tf.int32), size)


def region_of_mask(mask: tf.Tensor) -> tf.Tensor:
    """The smallest part of an image that holds its mask, (h,w,1) above 0 inside: as `region_of_boxes`."""
    size = tf.shape(mask)[:2]
    positions = tf.cast(tf.where(mask[..., 0] > 0), tf.int32)[:, ::-1]
    edges = tf.concat([tf.reduce_min(positions, axis=0), tf.reduce_max(positions, axis=0) + 1], axis=0)
    has_any = tf.size(positions) > 0
    return _or_whole(tf.where(has_any, edges, 0), size)


def cropped(image: tf.Tensor, region: tf.Tensor) -> tf.Tensor:
    """The part of an image (h,w,c) in a region of `region_of_boxes`."""
    return image[region[1] : region[3], region[0] : region[2]]


def size_of_region(region: tf.Tensor) -> tf.Tensor:
    """int32 (2,), height and width."""
    return tf.stack([region[3] - region[1], region[2] - region[0]])


def _far_corners(size: tf.Tensor) -> tf.Tensor:
    return tf.stack([size[1], size[0], size[1], size[0]])


def _or_whole(region: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    whole = tf.stack([0, 0, size[1], size[0]])
    return tf.where(tf.reduce_all(region[2:] > region[:2]), region, whole)
