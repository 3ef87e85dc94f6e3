"""What losses of the images with a mask share: how a batch's loss is made of theirs."""

import inspect
from typing import Any

import tensorflow as tf

from care_tf.errors import InputError
from care_tf.losses.arguments import checked_choice

REDUCTIONS = ("batch", "masked", "class_balanced")


class MaskedLoss:
    """A loss of each image with a mask, averaged over a batch: sum over masked images of w_i L_i.

    `AttentionLoss` says what the weights w_i are with each reduction.

    Args:
      reduction: "batch", "masked" or "class_balanced".

    Raises:
      InputError: `reduction` is another word.
    """

    # Whether the loss differentiates the attention map; one that acts on predictions leaves it to be measured.
    differentiates_map = True

    def __init__(self, reduction: str = "batch"):
        self.reduction = checked_choice("reduction", reduction, REDUCTIONS)

    @property
    def reached(self) -> float:
        """The mean L_i, over masked images, from which on there is little left to fall."""
        raise NotImplementedError

    def image_weights(
        self,
        has_mask: tf.Tensor,
        class_index: tf.Tensor | None = None,
        num_classes: int | None = None,
    ) -> tf.Tensor:
        """The weights w_i with L_a = sum of w_i * per_image_i.

        Args:
          has_mask: bool (B,), True for images that enter the loss.
          class_index: int (B,), the class that each mask belongs to; -1 for none: the image then has weight 0 and is
            not counted as masked. Needed by "class_balanced" only; None means that every mask counts.
          num_classes: Length of the counts per class; None means the largest index + 1. Give it under XLA, where it
            must be known.

        Returns:
          float32 (B,), >= 0; exactly 0 without a mask.

        Raises:
          InputError: `reduction="class_balanced"` without `class_index`.
        """
        counted = tf.convert_to_tensor(has_mask)
        if class_index is not None:
            class_index = tf.reshape(tf.cast(class_index, tf.int32), (-1,))
            counted &= class_index >= 0
        if self.reduction == "class_balanced":
            if class_index is None:
                raise InputError(
                    'reduction="class_balanced" averages over the classes with a mask and needs the class of each '
                    'image. Received class_index=None. Pass class_index (B,), or use reduction="masked".'
                )
            return _equal_shares(counted, class_index, num_classes)
        weights = tf.cast(counted, tf.float32)
        count = tf.reduce_sum(weights) if self.reduction == "masked" else tf.cast(tf.size(counted), tf.float32)
        return tf.math.divide_no_nan(weights, count)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "MaskedLoss":
        """The inverse of `get_config`."""
        return cls(**config)


def _equal_shares(counted, class_index, num_classes) -> tf.Tensor:
    """1 / (K n_c) for the counted images of class c, float32 (B,)."""
    if num_classes is None:
        num_classes = tf.reduce_max(class_index) + 1
    of_class = tf.one_hot(tf.where(counted, class_index, -1), num_classes, dtype=tf.float32)  # a row of zeros for -1
    count = tf.reduce_sum(of_class, axis=0)
    num_present = tf.math.count_nonzero(count, dtype=tf.float32)
    # Not a matrix product: an accelerator may round its factors to 10 bits.
    return tf.reduce_sum(of_class * tf.math.divide_no_nan(1.0, num_present * count), axis=1)
