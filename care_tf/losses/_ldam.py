"""LDAM: rare classes must win by a larger margin."""

from typing import Any

import numpy as np
import tensorflow as tf

from care_tf.keras_generation import register
from care_tf.losses._class_logits import per_class, rows_and_logits
from care_tf.losses._cost_sensitive import cost_sensitive_cross_entropy
from care_tf.losses.arguments import checked_counts, checked_number
from care_tf.losses.classification import ClassWeightedLoss, named


def label_distribution_margins(class_counts: Any, max_margin: float = 0.5) -> np.ndarray:
    """The margin of each class.

    m_c = max_margin (n_min / n_c)^(1/4)

    Args:
      class_counts: (C,), training samples of each class, > 0.
      max_margin: The margin of the rarest class, in logits, >= 0.

    Returns:
      float64 (C,), in (0, max_margin].

    Raises:
      InputError: A count is not positive, or max_margin is out of range.

    Example:
      >>> label_distribution_margins([1600, 100], max_margin=0.5).tolist()
      [0.25, 0.5]

    Source: Cao et al. 2019, section 3.2, with its constant C chosen so that the largest margin is max_margin.
    """
    counts = checked_counts(class_counts)
    return checked_number("max_margin", max_margin) * (counts.min() / counts) ** 0.25


def ldam_loss(
    labels: Any,
    predictions: Any,
    class_counts: Any,
    max_margin: float = 0.5,
    scale: float = 1.0,
    class_weights: Any = None,
    from_logits: bool = False,
) -> tf.Tensor:
    """Label-distribution-aware margin loss of each sample.

    L = w_y CE(scale (z - m_y onehot(y)), y)

    A softmax does not change when all logits shift, so log-probabilities serve as logits. max_margin = 0 with
    scale = 1 is the (weighted) cross entropy.

    Args:
      labels: Integers (B,) or (B, 1); or one-hot or soft rows (B, C).
      predictions: (B, C), or (B, 1) of a binary classifier with one unit: probabilities, or logits.
      class_counts: (C,), training samples of each class, > 0.
      max_margin: The margin of the rarest class, in logits, >= 0.
      scale: Factor of the logits, > 0.
      class_weights: (C,), >= 0; None for ones. The paper sets them late in training (see `DeferredReweighting`).
      from_logits: Whether the predictions are logits.

    Returns:
      float32 (B,) (float64 of float64 predictions), >= 0; 0 for a row of zeros, NaN for a label that names no class.

    Raises:
      InputError: The shapes do not fit together, a label is a fraction (in eager mode), a count is not positive, or an
        argument is out of range.

    Example:
      >>> ldam_loss([1], [[0.5, 0.5]], class_counts=[16, 1], max_margin=0.5).numpy().round(3)
      array([0.974], dtype=float32)

    Source: Cao et al. 2019, section 3.2. Deviations: the paper's classifier has normalized features and weights, with
      logits in [-1, 1] and scale 30; here the logits are ordinary ones, so scale is 1. A soft label takes the margins
      in proportion, m_c y_c.
    """
    rows, logits = rows_and_logits(labels, predictions, from_logits)
    margins = per_class(label_distribution_margins(class_counts, max_margin), logits, "class count")
    scale = checked_number("scale", scale, is_open=True)
    return cost_sensitive_cross_entropy(rows, scale * (logits - margins * rows), class_weights, from_logits=True)


@named("ldam", max_margin="margin of the rarest class, >= 0", scale="factor of the logits, > 0")
@register
class LDAMLoss(ClassWeightedLoss):
    """`ldam_loss` as a Keras loss.

    Args:
      class_counts: (C,), training samples of each class, > 0.
      max_margin: The margin of the rarest class, in logits, >= 0.
      scale: Factor of the logits, > 0.
      class_weights: (C,), >= 0; None for ones. Kept as a variable: see `ClassWeightedLoss`.
      from_logits, reduction, name: As for `ClassWeightedLoss`.

    Raises:
      InputError: An argument is out of range.
    """

    def __init__(
        self,
        class_counts: Any,
        max_margin: float = 0.5,
        scale: float = 1.0,
        class_weights: Any = None,
        from_logits: bool = False,
        reduction: str = "sum_over_batch_size",
        name: str = "ldam_loss",
    ):
        super().__init__(class_weights, from_logits, reduction, name)
        self.class_counts = checked_counts(class_counts).tolist()
        self.max_margin = checked_number("max_margin", max_margin)
        self.scale = checked_number("scale", scale, is_open=True)

    def call(self, y_true: Any, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of each sample, (B,)."""
        weights = self.weights_for(y_pred)
        return ldam_loss(y_true, y_pred, self.class_counts, self.max_margin, self.scale, weights, self.from_logits)
