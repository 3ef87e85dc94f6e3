"""The Keras side that all classification losses share: class weights that can be changed while training runs."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.losses._class_logits import number_of_outputs
from care_tf.losses.arguments import checked_weights


class ClassWeightedLoss(keras.losses.Loss):
    """A loss whose class weights are a variable, read in every step of a compiled `fit`.

    `loss.class_weights` is the variable, float32 (C,); without class weights it is (1,) until some are assigned:
    `loss.class_weights = [1.0, 5.0]`. Assigned weights are no part of the configuration and are not saved.

    Args:
      class_weights: (C,), >= 0; None for ones.
      from_logits: Whether the predictions are logits.
      reduction: As of any Keras loss.
      name: Of the loss.

    Raises:
      InputError: A weight is negative or not finite.
    """

    def __init__(self, class_weights: Any, from_logits: bool, reduction: str, name: str):
        super().__init__(reduction=reduction, name=name)
        values = None if class_weights is None else checked_weights(class_weights)
        self.from_logits = bool(from_logits)
        self._initial_class_weights = None if values is None else values.tolist()
        with tf.init_scope():
            if values is None:  # the number of classes is not known yet: one 1 stands for all of them
                self._class_weights = tf.Variable(np.ones(1, np.float32), trainable=False, shape=[None])
            else:
                self._class_weights = tf.Variable(values, trainable=False, dtype=tf.float32)

    @property
    def class_weights(self) -> tf.Variable:
        """The variable; assign (C,) weights >= 0 to the property to change them."""
        return self._class_weights

    @class_weights.setter
    def class_weights(self, values: Any) -> None:
        self._class_weights.assign(checked_weights(values, self._class_weights.shape[0]))

    def weights_for(self, predictions: tf.Tensor) -> tf.Tensor:
        """The current class weights, float32 (C,), for predictions (B, C), or (B, 1) of a binary classifier."""
        num_classes = max(number_of_outputs(predictions), 2)
        num_weights = self._class_weights.shape[0]
        if num_weights is not None and num_weights != num_classes:
            raise InputError(
                f"{type(self).__name__} has {num_weights} class weights, but the predictions have {num_classes} "
                "classes. Give one weight for each class."
            )
        return tf.broadcast_to(self._class_weights, (num_classes,))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "class_weights": self._initial_class_weights,
            "from_logits": self.from_logits,
            **super().get_config(),
        }
