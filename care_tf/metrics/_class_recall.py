"""Recall of one class, as a scalar that callbacks can monitor."""

import keras
import tensorflow as tf

from care_tf.errors import InputError, did_you_mean
from care_tf.keras_generation import register, set_direction
from care_tf.metrics._class_counts import class_counts, number_of_classes


@register
class ClassRecall(keras.metrics.Metric):
    """Share of the class's examples that are predicted as that class.

        recall_c = correct_c / total_c

    Args:
      class_id: Index of the class, or its name where `class_names` are given.
      from_logits: Only matters for one sigmoid unit: whether its output is a logit or a probability.
      name: Name in fit's logs; when None "recall_<class name>", or "recall_class_<index>" without names.
      dtype: Dtype of the state; float32 also under a mixed-precision policy.
      class_names: Names of all classes in the order of the labels, as `Manifest.class_names`.

    Labels and predictions as for `MeanClassAccuracy`. A class without examples has recall 0 (scikit-learn's
    `zero_division=0`), because a NaN would stop `ModelCheckpoint` and `EarlyStopping` from ever improving.

    Raises:
      InputError: A negative class_id, a name that is not in `class_names`, or a class that the predictions have no
        column for.

    Example:
      >>> metric = ClassRecall(1)
      >>> metric.update_state([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
      >>> float(metric.result())
      0.5
      >>> ClassRecall("DF", class_names=["NV", "DF"]).name
      'recall_DF'
    """

    def __init__(self, class_id, from_logits=False, name=None, dtype=None, class_names=None):
        if isinstance(class_id, str):
            class_id = _position(class_id, class_names)
        if isinstance(class_id, bool) or int(class_id) != class_id or class_id < 0:
            raise InputError(f"class_id must be the index of a class, an integer >= 0. Received: class_id={class_id}.")
        if class_names is not None and class_id >= len(class_names):
            raise InputError(f"class_id must be the index of one of {len(class_names)} names. Received: {class_id}.")
        own_name = f"class_{class_id}" if class_names is None else class_names[int(class_id)]
        super().__init__(name=name or f"recall_{own_name}", dtype=dtype)
        set_direction(self, "up")
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


def _position(name, class_names):
    if class_names is None or name not in class_names:
        received = "no class_names" if class_names is None else f"class_names {', '.join(class_names)}"
        raise InputError(
            f"A class by its name needs class_names that have it. Received {name!r} and {received}. Give the names in "
            f"the order of the labels, or the class's index.{did_you_mean(name, class_names or ())}"
        )
    return list(class_names).index(name)
