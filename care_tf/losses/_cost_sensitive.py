"""Cross entropy in which the samples of each class cost their own weight."""

from typing import Any

import tensorflow as tf

from care_tf.keras_generation import register
from care_tf.losses._class_logits import per_class, rows_and_logits
from care_tf.losses.classification import ClassWeightedLoss, named


def cost_sensitive_cross_entropy(
    labels: Any, predictions: Any, class_weights: Any = None, from_logits: bool = False
) -> tf.Tensor:
    """Weighted cross entropy of each sample.

    L = -sum_c w_c y_c log p_c

    Args:
      labels: Integers (B,) or (B, 1); or one-hot or soft rows (B, C).
      predictions: (B, C), or (B, 1) of a binary classifier with one unit: probabilities, or logits.
      class_weights: (C,), >= 0; None for ones.
      from_logits: Whether the predictions are logits.

    Returns:
      float32 (B,) (float64 of float64 predictions), >= 0; 0 for a row of zeros, NaN for a label that names no class.

    Raises:
      InputError: The shapes do not fit together, or a label is a fraction (in eager mode).

    Example:
      >>> cost_sensitive_cross_entropy([0, 1], [[0.5, 0.5], [0.5, 0.5]], class_weights=[1.0, 2.0]).numpy().round(3)
      array([0.693, 1.386], dtype=float32)

    Source: Cost-sensitive learning, Elkan 2001 (the CARE paper's CSL). Soft labels weight each class's part.
    """
    rows, logits = rows_and_logits(labels, predictions, from_logits)
    return class_costs(rows, -tf.nn.log_softmax(logits), class_weights)


def class_costs(rows: tf.Tensor, costs: tf.Tensor, class_weights: Any = None) -> tf.Tensor:
    """sum_c w_c y_c cost_c of each sample (B,), of class values y and costs (B, C) and weights (C,); None for ones.

    Raises:
      InputError: There is not one weight for each class.
    """
    if class_weights is not None:
        rows *= per_class(class_weights, costs, "class weight")
    return tf.reduce_sum(rows * costs, axis=-1)


@named("cross_entropy")
@register
class CostSensitiveCrossEntropy(ClassWeightedLoss):
    """`cost_sensitive_cross_entropy` as a Keras loss; without class weights the plain cross entropy.

    Args:
      class_weights: (C,), >= 0; None for ones. Kept as a variable: see `ClassWeightedLoss`.
      from_logits, reduction, name: As for `ClassWeightedLoss`.

    Raises:
      InputError: A weight is negative or not finite.
    """

    def __init__(
        self,
        class_weights: Any = None,
        from_logits: bool = False,
        reduction: str = "sum_over_batch_size",
        name: str = "cost_sensitive_cross_entropy",
    ):
        super().__init__(class_weights, from_logits, reduction, name)

    def call(self, y_true: Any, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of each sample, (B,)."""
        return cost_sensitive_cross_entropy(y_true, y_pred, self.weights_for(y_pred), self.from_logits)
