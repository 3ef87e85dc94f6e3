"""The focal loss: samples that are already classified well count less."""

from typing import Any

import tensorflow as tf

from care_tf.keras_generation import register
from care_tf.losses._class_logits import rows_and_logits
from care_tf.losses._cost_sensitive import class_costs
from care_tf.losses.arguments import checked_number
from care_tf.losses.classification import ClassWeightedLoss, named


def focal_loss(
    labels: Any, predictions: Any, gamma: float = 2.0, class_weights: Any = None, from_logits: bool = False
) -> tf.Tensor:
    """Focal loss of each sample.

    L = -sum_c alpha_c y_c (1 - p_c)^gamma log p_c

    gamma = 0 is the (weighted) cross entropy. Values and gradients are finite for every gamma >= 0, p = 1 included.

    Args:
      labels: Integers (B,) or (B, 1); or one-hot or soft rows (B, C).
      predictions: (B, C), or (B, 1) of a binary classifier with one unit: probabilities, or logits.
      gamma: How strongly well-classified samples are discounted, >= 0.
      class_weights: (C,), >= 0, the alpha of each class; None for ones.
      from_logits: Whether the predictions are logits.

    Returns:
      float32 (B,) (float64 of float64 predictions), >= 0; 0 for a row of zeros, NaN for a label that names no class.

    Raises:
      InputError: The shapes do not fit together, a label is a fraction (in eager mode), or gamma is out of range.

    Example:
      >>> focal_loss([0], [[0.5, 0.5]], gamma=2.0).numpy().round(3)
      array([0.173], dtype=float32)

    Source: Lin et al. 2017, Eq. 5. Softmax over C classes instead of C sigmoids; one unit is the paper's binary case
      with class_weights = (1 - alpha, alpha).
    """
    gamma = checked_number("gamma", gamma)
    rows, logits = rows_and_logits(labels, predictions, from_logits)
    log_probability = tf.nn.log_softmax(logits)
    return class_costs(rows, -_discount(log_probability, gamma) * log_probability, class_weights)


def _discount(log_probability: tf.Tensor, gamma: float) -> tf.Tensor:
    """(1 - p)^gamma, with gradient 0 at p = 1 for every gamma."""
    if gamma == 0.0:
        return tf.ones_like(log_probability)
    rest = -tf.math.expm1(log_probability)
    has_rest = rest > 0.0
    # The power's own gradient at 0 is infinite for gamma < 1, where that of the focal loss is 0; and log p may have
    # been rounded to slightly above 0, where the power does not exist.
    powers = tf.pow(tf.where(has_rest, rest, 1.0), tf.cast(gamma, rest.dtype))
    return tf.where(has_rest, powers, 0.0)


@named("focal", gamma="discount of well-classified samples, >= 0")
@register
class FocalLoss(ClassWeightedLoss):
    """`focal_loss` as a Keras loss.

    Args:
      gamma: How strongly well-classified samples are discounted, >= 0.
      class_weights: (C,), >= 0, the alpha of each class; None for ones. Kept as a variable: see `ClassWeightedLoss`.
      from_logits, reduction, name: As for `ClassWeightedLoss`.

    Raises:
      InputError: An argument is out of range.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        class_weights: Any = None,
        from_logits: bool = False,
        reduction: str = "sum_over_batch_size",
        name: str = "focal_loss",
    ):
        super().__init__(class_weights, from_logits, reduction, name)
        self.gamma = checked_number("gamma", gamma)

    def call(self, y_true: Any, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of each sample, (B,)."""
        return focal_loss(y_true, y_pred, self.gamma, self.weights_for(y_pred), self.from_logits)
