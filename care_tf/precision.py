"""The precision of attention maps and losses: never below float32, whatever the dtype policy."""

import tensorflow as tf


def at_least_float32(values: tf.Tensor) -> tf.Tensor:
    """Casts to float32; float64 stays, so that gradients can be checked against finite differences."""
    values = tf.convert_to_tensor(values)
    return values if values.dtype == tf.float64 else tf.cast(values, tf.float32)
