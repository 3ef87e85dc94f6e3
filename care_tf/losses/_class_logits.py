"""What every classification loss starts from: labels as rows of class values, predictions as class logits."""

import warnings
from typing import Any

import keras
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.labels import class_rows
from care_tf.precision import at_least_float32


def rows_and_logits(labels: Any, predictions: Any, from_logits: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
    """Labels and predictions in the one form that the losses compute with.

    Args:
      labels: Integers (B,) or (B, 1); or one-hot or soft rows (B, C). Of a binary classifier with one unit also soft
        labels (B,) or (B, 1) in [0, 1]. `care_tf.labels` has the rule.
      predictions: (B, C), or (B, 1) of a binary classifier with one unit: probabilities, or logits.
      from_logits: Whether the predictions are logits.

    Returns:
      rows (B, C) and logits (B, C), float32 (float64 of float64 predictions); C = 2 for one unit.

    Raises:
      InputError: The shapes are none of these, or a label is a fraction (in eager mode).

    Example:
      >>> rows, logits = rows_and_logits([1, 0], [[2.0], [-1.0]], from_logits=True)
      >>> rows.numpy().tolist(), logits.numpy().tolist()
      ([[0.0, 1.0], [1.0, 0.0]], [[0.0, 2.0], [0.0, -1.0]])
    """
    num_outputs = number_of_outputs(predictions)
    logits = class_logits(predictions, from_logits)
    return class_rows(labels, num_outputs, logits.dtype), logits


def number_of_outputs(predictions: Any) -> int:
    """Columns of the predictions (B, C); raises an InputError for another rank or an unknown number."""
    shape = tf.convert_to_tensor(predictions).shape
    if shape.rank != 2 or not shape[-1]:
        raise InputError(
            "A classification loss takes predictions of shape (batch, classes), or (batch, 1) of a binary classifier, "
            f"with a known number of classes. Received shape {shape}."
        )
    return int(shape[-1])


def class_logits(predictions: Any, from_logits: bool = False) -> tf.Tensor:
    """Class logits: numbers whose log-softmax is the log-probability of each class.

    Logits stay as they are, probabilities become log(clip(p, epsilon, 1 - epsilon)). Where a softmax or a sigmoid made
    the probabilities and its input can still be reached, its input is taken: a probability that has been rounded to 0
    has no gradient, though its sample is the most wrong one. One unit z becomes the two columns (0, z), whose softmax
    is (1 - sigmoid(z), sigmoid(z)).

    Args:
      predictions: (B, C) or (B, 1), probabilities or logits. Log-probabilities are logits too.
      from_logits: Whether the predictions are logits.

    Returns:
      (B, max(C, 2)), float32 (float64 of float64 predictions).

    Source: The rules of Keras's own cross entropies, which also find the input of the softmax. A cast between the
      softmax and the loss (float16 networks) is looked through here.
    """
    predictions = tf.convert_to_tensor(predictions)
    has_one_unit = number_of_outputs(predictions) == 1
    found = _input_of_activation(predictions, "Sigmoid" if has_one_unit else "Softmax")
    if found is not None:
        if from_logits:
            warnings.warn(
                "from_logits=True, but the predictions come from a softmax or sigmoid, so they are no logits. The "
                "input of that activation is taken. Pass from_logits=False, or take the activation off the classifier.",
                stacklevel=2,
            )
        predictions = found
        from_logits = True
    values = at_least_float32(predictions)
    if from_logits:
        return tf.concat([tf.zeros_like(values), values], axis=-1) if has_one_unit else values
    epsilon = keras.backend.epsilon()
    values = tf.clip_by_value(values, epsilon, 1.0 - epsilon)
    return tf.math.log(tf.concat([1.0 - values, values], axis=-1) if has_one_unit else values)


def _input_of_activation(predictions: tf.Tensor, activation_op: str) -> tf.Tensor | None:
    """What a softmax or sigmoid was applied to; None where the predictions do not come from one, or none can tell."""
    if hasattr(predictions, "_keras_logits"):  # the mark that Keras's activations leave, in eager mode as well
        return predictions._keras_logits
    if not tf.is_symbolic_tensor(predictions):
        return None
    if predictions.op.type == "Cast":
        return _input_of_activation(predictions.op.inputs[0], activation_op)
    return predictions.op.inputs[0] if predictions.op.type == activation_op else None


def per_class(values: Any, logits: tf.Tensor, what: str) -> tf.Tensor:
    """One value for each class, in the dtype of the logits (B, C): (C,).

    Raises:
      InputError: There are not C; names `what` they are.
    """
    values = tf.cast(tf.convert_to_tensor(values), logits.dtype)
    if not values.shape.is_compatible_with(logits.shape[-1:]):
        raise InputError(
            f"There must be one {what} for each of {logits.shape[-1]} classes. Received shape {values.shape}."
        )
    return values
