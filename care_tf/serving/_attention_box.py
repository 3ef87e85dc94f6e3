"""The box around what an attention map marks, in TensorFlow operations only: it is served with the map."""

import tensorflow as tf


def attention_box(maps: tf.Tensor, threshold: float = 0.5, min_area_fraction: float = 0.01) -> tf.Tensor:
    """One rectangle around all that each map marks; the rule, and the defaults, of `care_tf.boxes.boxes_from_map`.

    Args:
      maps: float (B,H,W) in [0,1], H and W static.
      threshold: A marked pixel has at least this value, and more than 0.
      min_area_fraction: 8-connected components below this share of the map are dropped.

    Returns:
      float32 (B,4) half-open x0,y0,x1,y1 px of the map; 0,0,0,0 where nothing is left.
    """
    height, width = maps.shape[1:]
    marked = (tf.cast(maps, tf.float64) >= threshold) & (maps > 0)
    numbers = tf.reshape(_components(marked) + _first_of_each(maps), (-1,))
    areas = tf.math.unsorted_segment_sum(tf.ones_like(numbers), numbers, tf.shape(maps)[0] * (height * width + 1))
    own_areas = tf.reshape(tf.gather(areas, numbers), tf.shape(maps))
    kept = marked & (tf.cast(own_areas, tf.float64) >= min_area_fraction * height * width)
    (x0, x1), (y0, y1) = (_first_and_end(tf.reduce_any(kept, axis=axis)) for axis in (1, 2))
    return tf.cast(tf.stack([x0, y0, x1, y1], axis=-1), tf.float32)


def _components(marked: tf.Tensor) -> tf.Tensor:
    """The 8-connected components of bool (B,H,W): int32 (B, H*W), one number above 0 for each, 0 outside.

    All pixels of one number take the greatest number that touches any of them, then the number of the pixel that this
    is the number of: the steps are a logarithm of the component's length, whatever its shape.
    """
    height, width = marked.shape[1:]
    inside = tf.cast(tf.reshape(marked, (-1, height * width)), tf.int32)
    first = _first_of_each(marked)

    def grow(numbers: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        as_image = tf.cast(tf.reshape(numbers, (-1, height, width, 1)), tf.float32)
        around = tf.reshape(tf.nn.max_pool2d(as_image, 3, 1, "SAME"), (-1, height * width))
        touching = tf.cast(around, tf.int32) * inside
        own = numbers + first
        num_numbers = tf.shape(first)[0] * (height * width + 1)
        greatest = tf.math.unsorted_segment_max(tf.reshape(touching, (-1,)), tf.reshape(own, (-1,)), num_numbers)
        grown = tf.gather(greatest, own)
        jumped = tf.gather(tf.pad(grown, ((0, 0), (1, 0))), grown, batch_dims=1)
        return jumped, tf.reduce_any(jumped != numbers)

    start = inside * tf.range(1, height * width + 1)
    return tf.while_loop(lambda _, has_grown: has_grown, grow, (start, tf.constant(True)))[0]


def _first_of_each(maps: tf.Tensor) -> tf.Tensor:
    """int32 (B,1): what tells the numbers of one map, up to H*W, from those of the others."""
    height, width = maps.shape[1:]
    return tf.range(tf.shape(maps)[0])[:, tf.newaxis] * (height * width + 1)


def _first_and_end(is_set: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """bool (B,n) -> the first set position and the one after the last, int32 (B,); 0 and 0 where none is."""
    position = tf.range(1, is_set.shape[1] + 1)
    ends = tf.reduce_max(tf.where(is_set, position, 0), axis=1)
    firsts = tf.reduce_min(tf.where(is_set, position, is_set.shape[1] + 1), axis=1) - 1
    return tf.minimum(firsts, ends), ends
