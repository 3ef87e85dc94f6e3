"""How far embeddings point in different directions: what a collapse looks like in the logs."""

import tensorflow as tf

from care_tf.precision import at_least_float32


def embedding_spread(embeddings: tf.Tensor) -> tf.Tensor:
    """One minus the squared length of the mean direction.

        spread = 1 - |mean over i of x_i / |x_i||^2

    Args:
      embeddings: float (B, d). Zero vectors have no direction and are left out of the mean.

    Returns:
      float32 scalar (float64 of float64) in [0, 1]: 0 when all embeddings point in one direction, or all are zero
      (collapse); 1 when their directions cancel out. NaN when an embedding is NaN. Not meant to be differentiated.

    Example:
      >>> import tensorflow as tf
      >>> float(embedding_spread(tf.constant([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])))
      0.5
    """
    embeddings = at_least_float32(embeddings)
    lengths = tf.norm(embeddings, axis=1, keepdims=True)
    num_directions = tf.reduce_sum(tf.cast(lengths != 0, embeddings.dtype))
    directions = tf.math.divide_no_nan(embeddings, lengths)
    mean = tf.math.divide_no_nan(tf.reduce_sum(directions, axis=0), num_directions)
    spread = 1.0 - tf.reduce_sum(mean * mean)
    return tf.where((num_directions == 0) | (spread < 0), tf.zeros_like(spread), spread)
