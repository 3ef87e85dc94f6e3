"""What the replicas of a `tf.distribute` strategy know of each other."""

import math
from typing import Any

import tensorflow as tf


def number_of_replicas() -> int:
    """Replicas in the strategy that runs the current step."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def gathered(values: Any) -> Any:
    """The rows of all replicas, in their order, in place of this replica's; on one device the values themselves.

    A gradient that reaches the gathered rows is added up over the replicas, and goes back to where each row is from.

    Args:
      values: Numbers or bools (b, ...), the same b for all, in any structure, and None; b may differ between replicas,
        and be 0.

    Returns:
      The same structure of tensors (B, ...).
    """
    context = tf.distribute.get_replica_context()
    if context is None or number_of_replicas() == 1:  # no context where Keras 3 builds metrics
        return values
    given = [value for value in tf.nest.flatten(values) if value is not None]
    # All at once, because a small collective costs its latency; and float64 holds whatever they are.
    widths = [math.prod(value.shape[1:]) for value in given]
    columns = [
        tf.cast(tf.reshape(value, [tf.shape(value)[0], width]), tf.float64)
        for value, width in zip(given, widths, strict=True)
    ]
    rows = tf.split(context.all_gather(tf.concat(columns, axis=1), axis=0), widths, axis=1)
    whole = iter([tf.cast(_like(part, value), value.dtype) for part, value in zip(rows, given, strict=True)])
    return tf.nest.map_structure(lambda value: None if value is None else next(whole), values)


def _like(part: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    rows = tf.reshape(part, [tf.shape(part)[0], *value.shape[1:]])
    return tf.ensure_shape(rows, [None, *value.shape[1:]])
