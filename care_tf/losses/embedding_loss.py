"""What the losses on embeddings have in common: how Keras calls them, and the checks of choices and flags."""

from typing import Any

import keras
import tensorflow as tf

from care_tf.errors import InputError


class EmbeddingLoss(keras.losses.Loss):
    """A loss of a batch's labels and embeddings that looks at pairs, so that its value belongs to no single example.

    Subclasses define `call(y_true, y_pred)`: labels (B,) or (B, 1), or one-hot (B, C); embeddings float (B, d); returns
    a scalar, in float32 (float64 of float64) whatever the dtype policy. On several replicas each looks at the pairs of
    its own images.

    Args:
      name: Name of the loss.
    """

    def __init__(self, name: str):
        super().__init__(reduction="none", name=name)  # the value is a scalar: nothing is left to reduce

    def __call__(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        """The batch's loss. (Keras's own `__call__` would cast labels and float64 embeddings to float32.)

        Raises:
          InputError: Sample weights are given, or labels or embeddings have another shape.
        """
        if sample_weight is not None:
            raise InputError(
                f"{type(self).__name__} is a mean over pairs or triplets, to which weights of single examples do not "
                "apply. Received: a sample_weight (or a class_weight, which Keras turns into one). Leave it out, and "
                "draw the batches in balance instead."
            )
        return self.call(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"name": self.name}


def checked_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """The value, one of the choices.

    Raises:
      InputError: It is none of them.
    """
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}. Received {name}={value!r}.")
    return value


def checked_flag(name: str, value: Any) -> bool:
    """The value, True or False.

    Raises:
      InputError: It is neither.
    """
    if not isinstance(value, bool):
        raise InputError(f"{name} must be true or false. Received {name}={value!r}.")
    return value
