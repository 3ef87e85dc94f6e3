"""What the replicas of a `tf.distribute` strategy know of each other."""

from typing import Any

import tensorflow as tf


def number_of_replicas() -> int:
    """Replicas in the strategy that runs the current step."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def gathered(values: Any) -> Any:
    """The rows of all replicas, in their order, in place of this replica's; on one device the values themselves.

    A gradient that reaches the gathered rows is added up over the replicas, and goes back to where each row is from.

    Args:
      values: Tensors (b, ...) in any structure, and None; b may differ between replicas, and be 0.

    Returns:
      The same structure of tensors (B, ...).
    """
    context = tf.distribute.get_replica_context()
    if context is None or number_of_replicas() == 1:  # no context where Keras 3 builds metrics
        return values
    return tf.nest.map_structure(lambda value: None if value is None else _gathered(context, value), values)


def _gathered(context: tf.distribute.ReplicaContext, value: tf.Tensor) -> tf.Tensor:
    if value.dtype.is_floating:  # collectives do not take every type
        wide = tf.float64 if value.dtype == tf.float64 else tf.float32
    else:
        wide = tf.int64 if value.dtype.size > 4 else tf.int32
    rows = context.all_gather(tf.cast(value, wide), axis=0)
    return tf.ensure_shape(tf.cast(rows, value.dtype), [None, *value.shape[1:]])
