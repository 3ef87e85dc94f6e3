"""Recall of one class, as a scalar that callbacks can monitor."""

import keras
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.keras_generation import register, set_direction
from care_tf.metrics._class_counts import class_counts, number_of_classes


@register
class ClassRecall(keras.metrics.Metric):
    """Share of the class's examples that are predicted as that class.

        recall_c = correct_c / total_c

    Args:
      class_id: Index of the class.
      from_logits: Only matters for one sigmoid unit: whether its output is a logit or a probability.
      name: Name in fit's logs; "recall_class_<class_id>" when None.
      dtype: Dtype of the state; float32 also under a mixed-precision policy.

    Labels and predictions as for `MeanClassAccuracy`. A class without examples has recall 0 (scikit-learn's
    `zero_division=0`), because a NaN would stop `ModelCheckpoint` and `EarlyStopping` from ever improving.

    Raises:
      InputError: A negative class_id, or one that the predictions have no column for.

    Example:
      >>> metric = ClassRecall(1)
      >>> metric.update_state([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
      >>> float(metric.result())
      0.5
    """

    def __init__(self, class_id, from_logits=False, name=None, dtype=None):
        super().__init__(name=name or f"recall_class_{class_id}", dtype=dtype)
        set_direction(self, "up")
        if isinstance(class_id, bool) or int(class_id) != class_id or class_id < 0:
            raise InputError(f"class_id must be the index of a class, an integer >= 0. Received: class_id={class_id}.")
        self.class_id = int(class_id)
        self.from_logits = from_logits
        self.correct = self.add_weight(name="correct", shape=(), initializer="zeros")
        self.total = self.add_weight(name="total", shape=(), initializer="zeros")

    @tf.autograph.experimental.do_not_convert  # converted, as Keras 2.15 does, an InputError changes its type
    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds one batch."""
        y_pred = tf.convert_to_tensor(y_pred)
        num_classes = number_of_classes(y_pred)
        if self.class_id >= num_classes:
            raise InputError(
                f"ClassRecall(class_id={self.class_id}) needs predictions with at least {self.class_id + 1} classes. "
                f"Received: {num_classes} (shape {y_pred.shape}). Classes are counted from 0."
            )
        correct, total = class_counts(y_true, y_pred, num_classes, sample_weight, self.from_logits)
        self.correct.assign_add(tf.cast(correct[self.class_id], self.correct.dtype))
        self.total.assign_add(tf.cast(total[self.class_id], self.total.dtype))

    def result(self):
        """Recall over what was added since the last reset; 0 when the class had no example."""
        return tf.math.divide_no_nan(tf.convert_to_tensor(self.correct), tf.convert_to_tensor(self.total))

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "class_id": self.class_id, "from_logits": self.from_logits}
