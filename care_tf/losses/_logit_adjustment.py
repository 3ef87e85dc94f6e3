"""Logit adjustment: the classifier learns what is left to say about a class once its frequency is known."""

from typing import Any

import numpy as np
import tensorflow as tf

from care_tf.keras_generation import register
from care_tf.losses._class_logits import per_class, rows_and_logits
from care_tf.losses._cost_sensitive import cost_sensitive_cross_entropy
from care_tf.losses.arguments import checked_counts, checked_number
from care_tf.losses.classification import ClassWeightedLoss, named
from care_tf.settings import Trait


def logit_adjusted_loss(
    labels: Any,
    predictions: Any,
    class_counts: Any,
    tau: float = 1.0,
    class_weights: Any = None,
    from_logits: bool = False,
) -> tf.Tensor:
    """Logit-adjusted cross entropy of each sample.

    L = w_y CE(z + tau log pi, y),  pi_c = n_c / n

    tau = 1 is the balanced softmax, tau = 0 the (weighted) cross entropy. The adjustment belongs to training only:
    the classifier's own outputs are those of balanced classes.

    Args:
      labels: Integers (B,) or (B, 1); or one-hot or soft rows (B, C).
      predictions: (B, C), or (B, 1) of a binary classifier with one unit: probabilities, or logits.
      class_counts: (C,), training samples of each class, > 0.
      tau: Strength of the adjustment, >= 0.
      class_weights: (C,), >= 0; None for ones.
      from_logits: Whether the predictions are logits.

    Returns:
      float32 (B,) (float64 of float64 predictions), >= 0; 0 for a row of zeros, NaN for a label that names no class.

    Raises:
      InputError: The shapes do not fit together, a label is a fraction (in eager mode), a count is not positive, or tau
        is out of range.

    Example:
      >>> logit_adjusted_loss([1], [[0.5, 0.5]], class_counts=[3, 1]).numpy().round(3)
      array([1.386], dtype=float32)

    Source: Menon et al. 2021, Eq. 10; tau = 1: balanced softmax, Ren et al. 2020, Theorem 1.
    """
    rows, logits = rows_and_logits(labels, predictions, from_logits)
    counts = checked_counts(class_counts)
    adjustment = checked_number("tau", tau) * np.log(counts / counts.sum())
    adjusted = logits + per_class(adjustment, logits, "class count")
    return cost_sensitive_cross_entropy(rows, adjusted, class_weights, from_logits=True)


@named("logit_adjustment", Trait.CORRECTS_FOR_COUNTS, tau="strength of the adjustment, >= 0")
@named("balanced_softmax", Trait.CORRECTS_FOR_COUNTS)
@register
class LogitAdjustedLoss(ClassWeightedLoss):
    """`logit_adjusted_loss` as a Keras loss; with the default tau the balanced softmax.

    Args:
      class_counts: (C,), training samples of each class, > 0.
      tau: Strength of the adjustment, >= 0.
      class_weights: (C,), >= 0; None for ones. Kept as a variable: see `ClassWeightedLoss`.
      from_logits, reduction, name: As for `ClassWeightedLoss`.

    Raises:
      InputError: An argument is out of range.
    """

    def __init__(
        self,
        class_counts: Any,
        tau: float = 1.0,
        class_weights: Any = None,
        from_logits: bool = False,
        reduction: str = "sum_over_batch_size",
        name: str = "logit_adjusted_loss",
    ):
        super().__init__(class_weights, from_logits, reduction, name)
        self.class_counts = checked_counts(class_counts).tolist()
        self.tau = checked_number("tau", tau)

    def call(self, y_true: Any, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of each sample, (B,)."""
        weights = self.weights_for(y_pred)
        return logit_adjusted_loss(y_true, y_pred, self.class_counts, self.tau, weights, self.from_logits)
