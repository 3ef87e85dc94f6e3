"""What class a label means: one rule for the losses, the attention, the pairs of embeddings and the metrics.

| label                                     | class                            | loss                |
|-------------------------------------------|----------------------------------|---------------------|
| whole number, (B,) or (B, 1)              | that number                      | of that class       |
| row of class values, (B, C)               | the largest value; ties: first   | of the row          |
| row of zeros                              | none, -1                         | 0                   |
| one unit, (B,) or (B, 1) in [0, 1]        | 1 from 0.5 up, else 0            | of the row (1-p, p) |
| one unit, row of two values               | 1 from the same value up, else 0 | of the row          |
| anything else                             | refused                          | refused             |

Whole numbers may be floats, off by float32's rounding: 1.9999999 is 2. An image of no class has no loss and no
attention, counts in no metric, and makes no pair. A refused label raises an InputError where its value can be seen, in
eager mode. A graph cannot see it: there the class is asserted, and the row becomes NaN, so that the loss shows it. XLA
drops assertions; the class is then -1.
"""

from typing import Any

import tensorflow as tf

from care_tf.errors import InputError
from care_tf.precision import at_least_float32

NO_CLASS = -1
_ROUNDING = 1e-6  # relative: eight times float32's


def class_index(labels: Any, num_outputs: int | None = None) -> tf.Tensor:
    """The class of each label.

    Args:
      labels: (B,) or (B, 1), or rows of class values (B, C).
      num_outputs: Units of the classifier; 1 for a binary one with a single unit, where C = 2. None where the number of
        classes does not matter, only which labels are equal: a negative number is then no class.

    Returns:
      int64 (B,); -1 for no class.

    Raises:
      InputError: The labels have another shape, or one is no class (in eager mode).
      tf.errors.InvalidArgumentError: One is no class (in a graph, not under XLA).

    Example:
      >>> class_index([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]], 2).numpy().tolist()
      [1, 0, -1]
      >>> class_index([0.4, 0.5], 1).numpy().tolist()
      [0, 1]
    """
    labels = _with_known_shape(labels, num_outputs)
    if labels.shape.rank == 2:
        index = tf.argmax(labels, axis=-1)
        if num_outputs == 1:  # as for a single number: equal values are class 1
            index = tf.cast(labels[:, 1] >= labels[:, 0], tf.int64)
        return tf.where(tf.reduce_max(labels, axis=-1) > 0, index, NO_CLASS)
    index, is_class = _numbered_class(labels, num_outputs)
    if tf.executing_eagerly():
        _refuse(labels, is_class, num_outputs)
    else:
        tf.debugging.Assert(tf.reduce_all(is_class), [_rule(num_outputs), labels])
    return tf.where(is_class & (index >= 0), index, NO_CLASS)


def class_rows(labels: Any, num_outputs: int, dtype: tf.DType = tf.float32) -> tf.Tensor:
    """One row of class values for each label.

    Args:
      labels: As for `class_index`.
      num_outputs: Units of the classifier; 1 for a binary one with a single unit.
      dtype: Of the result.

    Returns:
      (B, max(num_outputs, 2)). In a graph a label that is no class makes its row NaN.

    Raises:
      InputError: The labels have another shape, or one is no class (in eager mode).

    Example:
      >>> class_rows([2, 0], 3).numpy().tolist()
      [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
      >>> class_rows([0.25], 1).numpy().tolist()
      [[0.75, 0.25]]
    """
    labels = _with_known_shape(labels, num_outputs)
    if labels.shape.rank == 2:
        return tf.cast(labels, dtype)
    index, is_class = _numbered_class(labels, num_outputs)
    if tf.executing_eagerly():
        _refuse(labels, is_class, num_outputs)
    if num_outputs == 1:
        positive = tf.clip_by_value(tf.cast(labels, dtype), 0.0, 1.0)
        rows = tf.stack([1.0 - positive, positive], axis=-1)
    else:
        rows = tf.one_hot(index, num_outputs, dtype=dtype)
    return tf.where(is_class[:, tf.newaxis], rows, tf.constant(float("nan"), dtype))


def _with_known_shape(labels: Any, num_outputs: int | None) -> tf.Tensor:
    """Numbers as (B,), rows as (B, C); booleans as integers."""
    labels = tf.convert_to_tensor(labels)
    if labels.dtype == tf.bool:
        labels = tf.cast(labels, tf.int32)
    shape = labels.shape
    if shape.rank == 1:
        return labels
    if shape.rank == 2 and shape[1] == 1:
        return labels[:, 0]
    num_classes = None if num_outputs is None else max(num_outputs, 2)
    if shape.rank == 2 and shape[1] is not None and num_classes in (None, shape[1]):
        return labels
    raise InputError(
        "Labels must be integers of shape (batch,) or (batch, 1), or class values of shape (batch, "
        f"{num_classes or 'classes'}), as many as there are classes. Received shape {shape}. Give each image one label."
    )


def _numbered_class(labels: tf.Tensor, num_outputs: int | None) -> tuple[tf.Tensor, tf.Tensor]:
    """The class that each number (B,) means, int64, and whether it means one, bool."""
    if num_outputs == 1:
        values = at_least_float32(labels)
        return tf.cast(values >= 0.5, tf.int64), (values >= -_ROUNDING) & (values <= 1.0 + _ROUNDING)
    if labels.dtype.is_floating:
        values = at_least_float32(labels)
        nearest = tf.round(values)
        is_class = tf.abs(values - nearest) <= _ROUNDING * tf.maximum(tf.abs(nearest), 1.0)
        index = tf.cast(nearest, tf.int64)
    else:
        index = tf.cast(labels, tf.int64)
        is_class = tf.ones_like(index, tf.bool)
    if num_outputs is not None:
        is_class &= (index >= 0) & (index < num_outputs)
    return index, is_class


def _refuse(labels: tf.Tensor, is_class: tf.Tensor, num_outputs: int | None) -> None:
    refused = labels.numpy()[~is_class.numpy()]
    if len(refused):
        raise InputError(
            f"{_rule(num_outputs)} Received {', '.join(map(str, refused[:5]))} ({len(refused)} of {len(labels)} "
            "labels). Write an image of no class as a row of zeros, soft labels as rows of class values."
        )


def _rule(num_outputs: int | None) -> str:
    if num_outputs is None:
        return "A label must be a whole number."
    if num_outputs == 1:
        return "A label of a classifier with one unit must lie in [0, 1]."
    return f"A label must be a whole number from 0 to {num_outputs - 1}."
