"""Mean class accuracy (MCA, balanced accuracy): the mean of the recalls of the classes that are present."""

from typing import Any

import keras
import tensorflow as tf

from care_tf.keras_generation import register, set_direction
from care_tf.metrics._class_counts import class_counts, number_of_classes


def mean_class_accuracy(correct: tf.Tensor, total: tf.Tensor) -> tf.Tensor:
    """Mean recall over the classes that have examples.

        MCA = mean over {c : total_c > 0} of correct_c / total_c

    Args:
      correct: (C,) float, weight of the correctly predicted examples of every class.
      total: (C,) float, weight of all examples of every class.

    Returns:
      A float32 scalar in [0, 1]; 0 when no class has examples.

    Example:
      >>> float(mean_class_accuracy(tf.constant([3.0, 1.0, 0.0]), tf.constant([4.0, 4.0, 0.0])))
      0.5
    """
    num_present = tf.reduce_sum(tf.cast(total > 0, tf.float32))
    return tf.math.divide_no_nan(tf.reduce_sum(tf.math.divide_no_nan(correct, total)), num_present)


@register
class MeanClassAccuracy(keras.metrics.Metric):
    """Mean class accuracy as a Keras metric; equals scikit-learn's `balanced_accuracy_score`.

    Args:
      num_classes: C, or None to read it from the first predictions.
      from_logits: Only matters for one sigmoid unit: whether its output is a logit or a probability.
      name: Name in fit's logs.
      dtype: Dtype of the state; float32 also under a mixed-precision policy.

    Labels: (B,) or (B, 1) class indices, or (B, C) one-hot or soft (their argmax); a row of zeros is not counted.
    Predictions: (B, C), or (B, 1) of one sigmoid unit, which counts as two classes and takes soft labels (B,) or (B, 1)
    as well: class 1 from 0.5 up. A NaN prediction is a wrong one.

    Example:
      >>> metric = MeanClassAccuracy()
      >>> metric.update_state([0, 0, 1], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
      >>> float(metric.result())
      0.75
    """

    def __init__(self, num_classes=None, from_logits=False, name="mean_class_accuracy", dtype=None):
        super().__init__(name=name, dtype=dtype)
        set_direction(self, "up")
        self.num_classes = num_classes
        self.from_logits = from_logits
        self.correct: Any = None
        self.total: Any = None
        if num_classes is not None:
            self._create_state(num_classes)

    def _create_state(self, num_classes: int) -> None:
        self.correct = self.add_weight(name="correct", shape=(num_classes,), initializer="zeros")
        self.total = self.add_weight(name="total", shape=(num_classes,), initializer="zeros")

    @tf.autograph.experimental.do_not_convert  # converted, as Keras 2.15 does, an InputError changes its type
    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds one batch."""
        y_pred = tf.convert_to_tensor(y_pred)
        known = self.num_classes if self.total is None else self.total.shape[0]
        num_classes = number_of_classes(y_pred, known)
        if self.total is None:
            self._create_state(num_classes)
        correct, total = class_counts(y_true, y_pred, num_classes, sample_weight, self.from_logits)
        self.correct.assign_add(tf.cast(correct, self.correct.dtype))
        self.total.assign_add(tf.cast(total, self.total.dtype))

    def result(self):
        """Mean class accuracy of what was added since the last reset; 0 before the first batch."""
        if self.total is None:
            return tf.constant(0.0)
        return mean_class_accuracy(tf.convert_to_tensor(self.correct), tf.convert_to_tensor(self.total))

    def reset_state(self):
        """Starts counting anew. (Keras 2.15's own reset knows scalar variables only.)"""
        for variable in self.variables:
            variable.assign(tf.zeros(variable.shape, variable.dtype))

    def save_own_variables(self, store):
        """Saves nothing: the counts belong to one epoch, and before the first batch there are none."""

    def load_own_variables(self, store):
        """Loads nothing, see `save_own_variables`."""

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "num_classes": self.num_classes, "from_logits": self.from_logits}
