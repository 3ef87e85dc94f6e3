"""What class a label means: one rule for the losses, the attention, the pairs of embeddings and the metrics.

| label                              | class                                | class values            |
|------------------------------------|--------------------------------------|-------------------------|
| whole number, (B,) or (B, 1)       | that number                          | one-hot                 |
| row of class values, (B, C)        | of the largest value; ties: first    | the row                 |
| row of zeros                       | none, -1                             | the row                 |
| one unit: (B,) or (B, 1) in [0, 1] | 1 from 0.5 up, else 0                | (1 - p, p)              |
| one unit: row (B, 2)               | 1 if its value is the larger or ties | the row                 |
| number outside the C classes       | none, -1                             | NaN                     |
| other number, such as 0.7          | refused; in a graph none, -1         | refused; in a graph NaN |

Whole numbers may be floats, off by float32's rounding: 1.9999999 is 2. An image of no class has no attention, makes no
pair, and counts in no metric; with a row of zeros it has no loss. A number that names no class is a mistake, and shows:
the losses are NaN, and the metrics fail. What is refused raises an InputError; a graph cannot see the values.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.precision import at_least_float32

NO_CLASS = -1
_ROUNDING = 1e-6  # relative: eight times float32's


def class_index(labels: Any, num_outputs: int) -> tf.Tensor:
    """The class of each label.

    Args:
      labels: (B,) or (B, 1), or rows of class values (B, C).
      num_outputs: Units of the classifier; 1 for a binary one with a single unit, where C = 2.

    Returns:
      int64 (B,); -1 for no class.

    Raises:
      InputError: The labels have another shape, or one is a fraction (in eager mode).

    Example:
      >>> class_index([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]], 2).numpy().tolist()
      [1, 0, -1]
      >>> class_index([0.4, 0.5], 1).numpy().tolist()
      [0, 1]
    """
    index, has_class = _classes(labels, num_outputs)
    return tf.where(has_class, index, NO_CLASS)


def same_class(labels: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Which labels are of one class, where the number of classes does not matter: any whole number is one.

    Args:
      labels: (B,) or (B, 1), or rows of class values (B, C).

    Returns:
      (same, both), bool (B, B) each: whether labels i and j are of one class, and whether both have a class.

    Raises:
      InputError: The labels have another shape, or one is a fraction (in eager mode).
    """
    index, has_class = _classes(labels, None)
    both = has_class[:, tf.newaxis] & has_class[tf.newaxis, :]
    return both & (index[:, tf.newaxis] == index[tf.newaxis, :]), both


def class_rows(labels: Any, num_outputs: int, dtype: tf.DType = tf.float32) -> tf.Tensor:
    """One row of class values for each label.

    Args:
      labels: As for `class_index`.
      num_outputs: Units of the classifier; 1 for a binary one with a single unit.
      dtype: Of the result.

    Returns:
      (B, max(num_outputs, 2)). A number that names no class makes its whole row NaN.

    Raises:
      InputError: The labels have another shape, or one is a fraction (in eager mode).

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
    if num_outputs == 1:
        positive = tf.clip_by_value(tf.cast(labels, dtype), 0.0, 1.0)
        rows = tf.stack([1.0 - positive, positive], axis=-1)
    else:
        rows = tf.one_hot(index, num_outputs, dtype=dtype)
    return tf.where(is_class[:, tf.newaxis], rows, tf.constant(float("nan"), dtype))


def names_class(labels: Any, num_outputs: int) -> tf.Tensor:
    """Whether each of the numbers means a class; NaN, a fraction and a number outside the C classes do not.

    Args:
      labels: Numbers, (B,) or (B, 1).
      num_outputs: Units of the classifier; 1 for a binary one with a single unit.

    Returns:
      bool (B,); nothing is refused.

    Example:
      >>> names_class([0.0, 1.5, 3.0, float("nan")], 3).numpy().tolist()
      [True, False, False, False]
    """
    return _numbered_class(_with_known_shape(labels, num_outputs), num_outputs, refuses=False)[1]


def _classes(labels: Any, num_outputs: int | None) -> tuple[tf.Tensor, tf.Tensor]:
    """The class of each label, int64 (B,), and whether it has one, bool (B,); None for any number of classes."""
    labels = _with_known_shape(labels, num_outputs)
    if labels.shape.rank == 1:
        return _numbered_class(labels, num_outputs)
    index = tf.argmax(labels, axis=-1)
    if num_outputs == 1:  # as for a single number: equal values are class 1
        index = tf.cast(labels[:, 1] >= labels[:, 0], tf.int64)
    return index, tf.reduce_max(labels, axis=-1) > 0


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


def _numbered_class(labels: tf.Tensor, num_outputs: int | None, *, refuses: bool = True) -> tuple[tf.Tensor, tf.Tensor]:
    """The class that each number (B,) means, int64, and whether it means one, bool."""
    if num_outputs == 1:
        values = at_least_float32(labels)
        return tf.cast(values >= 0.5, tf.int64), (values >= -_ROUNDING) & (values <= 1.0 + _ROUNDING)
    if labels.dtype.is_floating:
        values = at_least_float32(labels)
        nearest = tf.round(values)
        is_whole = tf.abs(values - nearest) <= _ROUNDING * tf.maximum(tf.abs(nearest), 1.0)
        if refuses and tf.executing_eagerly():
            _refuse(labels.numpy()[~is_whole.numpy()])
        index = tf.cast(nearest, tf.int64)
    else:
        index = tf.cast(labels, tf.int64)
        is_whole = tf.ones_like(index, tf.bool)
    if num_outputs is None:
        return index, is_whole
    return index, is_whole & (index >= 0) & (index < num_outputs)


def _refuse(fractions: np.ndarray) -> None:
    if len(fractions):
        raise InputError(
            f"A label must be a whole number, the class. Received {', '.join(map(str, fractions[:5]))} "
            f"({len(fractions)} such labels). Write soft labels as rows, one value per class."
        )
