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
    components = _components(marked)
    num_numbers = height * width + 1
    first = tf.range(tf.shape(maps)[0])[:, tf.newaxis] * num_numbers
    numbers = tf.reshape(tf.reshape(components, (-1, height * width)) + first, (-1,))
    areas = tf.math.unsorted_segment_sum(tf.ones_like(numbers), numbers, tf.shape(maps)[0] * num_numbers)
    own_areas = tf.reshape(tf.gather(areas, numbers), tf.shape(maps))
    kept = marked & (tf.cast(own_areas, tf.float64) >= min_area_fraction * height * width)
    (x0, x1), (y0, y1) = (_first_and_end(tf.reduce_any(kept, axis=axis)) for axis in (1, 2))
    return tf.cast(tf.stack([x0, y0, x1, y1], axis=-1), tf.float32)


def _components(marked: tf.Tensor) -> tf.Tensor:
    """The 8-connected components of bool (B,H,W): int32 (B,H,W), one number above 0 for each, 0 outside.

    Every pixel takes the greatest number around it, then the number of the pixel that has this number: the second step
    makes the steps a logarithm of the component's length.
    """
    height, width = marked.shape[1:]
    inside = tf.cast(marked, tf.float32)
    numbers = inside * tf.reshape(tf.range(1.0, height * width + 1.0), (height, width))

    def grow(numbers: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        grown = tf.nn.max_pool2d(numbers[..., tf.newaxis], 3, 1, "SAME")[..., 0] * inside
        flat = tf.reshape(grown, (-1, height * width))
        with_outside = tf.pad(flat, ((0, 0), (1, 0)))
        jumped = tf.reshape(tf.gather(with_outside, tf.cast(flat, tf.int32), batch_dims=1), tf.shape(grown))
        return jumped, tf.reduce_any(jumped != numbers)

    numbers, _ = tf.while_loop(lambda _, has_grown: has_grown, grow, (numbers, tf.constant(True)))
    return tf.cast(numbers, tf.int32)


def _first_and_end(is_set: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """bool (B,n) -> the first set position and the one after the last, int32 (B,); 0 and 0 where none is."""
    position = tf.range(1, is_set.shape[1] + 1)
    ends = tf.reduce_max(tf.where(is_set, position, 0), axis=1)
    firsts = tf.reduce_min(tf.where(is_set, position, is_set.shape[1] + 1), axis=1) - 1
    return tf.minimum(firsts, ends), ends
