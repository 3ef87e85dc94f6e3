"""Batches of no image, on which the convolutions of some processors fail.

oneDNN's, which TensorFlow takes on processors with AVX512_VNNI or AMX, give such a batch the shape of their input
(TensorFlow 2.15 and 2.21), and the next operation fails.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def call_with_an_image(network: Callable[[Any], Any], inputs: Any) -> Any:
    """What a network gives, called with a row of zeros in place of none.

    Args:
      network: Row by row: tensors (B, ...), B > 0, in any structure -> tensors (B, ...) in any structure.
      inputs: Tensors (B, ...), B >= 0, in any structure.

    Returns:
      `network(inputs)`; for B = 0 the same structure with no rows.
    """
    size = tf.shape(tf.nest.flatten(inputs)[0])[0]
    missing = tf.maximum(1 - size, 0)

    def filled(rows: tf.Tensor) -> tf.Tensor:
        paddings = tf.concat([[[0, missing]], tf.zeros((rows.shape.rank - 1, 2), tf.int32)], axis=0)
        return tf.ensure_shape(tf.pad(rows, paddings), [None, *rows.shape[1:]])

    return tf.nest.map_structure(lambda rows: rows[:size], network(tf.nest.map_structure(filled, inputs)))
