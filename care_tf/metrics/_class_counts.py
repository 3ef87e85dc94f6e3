"""Per-class counts of true and correctly predicted examples: what the recall metrics are made of."""

from typing import Any

import tensorflow as tf

from care_tf.errors import InputError
from care_tf.labels import class_index


def number_of_classes(predictions: tf.Tensor, num_classes: int | None = None) -> int:
    """The classes that predictions (B, C) cover; 2 for one sigmoid unit, (B, 1) or (B,).

    Raises:
      InputError: The predictions have another shape or an unknown C, or C is not `num_classes`, the expected number.
    """
    shape = predictions.shape
    if shape.rank not in (1, 2) or (shape.rank == 2 and shape[1] is None):
        raise InputError(
            f"predictions must be (batch, classes) with a known number of classes. Received: shape {shape}. "
            "Pool spatial dimensions away, and give the output layer a fixed number of units."
        )
    found = 2 if shape.rank == 1 or shape[1] == 1 else int(shape[1])
    if num_classes is not None and found != num_classes:
        raise InputError(
            f"The metric was created with num_classes={num_classes}, but the predictions have {found} classes "
            f"(shape {shape}). Give both the same number."
        )
    return found


def true_classes(labels: Any, predictions: tf.Tensor) -> tf.Tensor:
    """The class of every label, int32 (B,), -1 for none: `care_tf.labels.class_index` for these predictions.

    Args:
      labels: (B,) or (B, 1) class indices, or (B, C) one-hot or soft labels; of one sigmoid unit also soft labels (B,)
        or (B, 1) in [0, 1].
      predictions: (B, C), or (B, 1) or (B,) of one sigmoid unit.

    Raises:
      InputError: Another shape, or a label is a fraction (in eager mode).
      tf.errors.InvalidArgumentError: A number that names no class (not checked under XLA).
    """
    labels = tf.convert_to_tensor(labels)
    num_outputs = 1 if predictions.shape.rank == 1 else predictions.shape[1]
    index = tf.cast(class_index(labels, num_outputs), tf.int32)
    if labels.shape.rank == 1 or labels.shape[1] == 1:  # only a row can say that an image has no class
        tf.debugging.assert_non_negative(index, f"class indices must lie in [0, {max(num_outputs, 2)})")
    return index


def predicted_classes(predictions: tf.Tensor, from_logits: bool = False) -> tf.Tensor:
    """The class with the highest score, int32 (B,); -1, which is never correct, where a score is NaN.

    Args:
      predictions: (B, C) probabilities or logits, or (B, 1) or (B,) of one sigmoid unit.
      from_logits: Whether one sigmoid unit's predictions are logits (class 1 above 0) or probabilities (above 0.5).
    """
    if predictions.shape.rank == 1:
        predictions = predictions[:, tf.newaxis]
    if predictions.shape[1] == 1:
        classes = tf.cast(predictions[:, 0] > (0.0 if from_logits else 0.5), tf.int32)
    else:
        classes = tf.argmax(predictions, axis=-1, output_type=tf.int32)
    has_nan = tf.reduce_any(tf.math.is_nan(predictions), axis=-1)
    return tf.where(has_nan, -1, classes)


def class_counts(
    labels: tf.Tensor,
    predictions: tf.Tensor,
    num_classes: int,
    sample_weight: tf.Tensor | None = None,
    from_logits: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Weight of the correctly predicted and of all examples of every class.

    Args:
      labels: As `true_classes` takes them; those of no class are not counted.
      predictions: As `predicted_classes` takes them.
      num_classes: C.
      sample_weight: (B,) or (B, 1), or None for ones.
      from_logits: As in `predicted_classes`.

    Returns:
      `(correct, total)`, each (C,) float32; recall is correct / total.
    """
    true = true_classes(labels, predictions)
    is_correct = tf.cast(true == predicted_classes(predictions, from_logits), tf.float32)
    members = tf.one_hot(true, num_classes, dtype=tf.float32) * weight_column(sample_weight, true)
    return tf.reduce_sum(members * is_correct[:, tf.newaxis], axis=0), tf.reduce_sum(members, axis=0)


def weight_column(sample_weight: tf.Tensor | None, like: tf.Tensor) -> tf.Tensor:
    """Sample weights, a scalar, (B,) or (B, 1), as a (B, 1) float32 column; ones for None. `like` has B rows."""
    ones = tf.ones([tf.shape(like)[0], 1], tf.float32)
    if sample_weight is None:
        return ones
    weight = tf.cast(tf.convert_to_tensor(sample_weight), tf.float32)
    return ones * (tf.reshape(weight, [-1, 1]) if weight.shape.rank else weight)
