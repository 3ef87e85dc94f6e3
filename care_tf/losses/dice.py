"""The Dice loss: the overlap of a predicted region with the true one, whatever share of the image they cover."""

from typing import Any

import keras
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.keras_generation import register
from care_tf.losses.arguments import checked_number


def dice_loss(masks: Any, predictions: Any, smooth: float = 1.0) -> tf.Tensor:
    """Soft Dice loss of each image.

    L = 1 - (2 sum(p m) + s) / (sum(p) + sum(m) + s), sums over the pixels of one image

    The smoothing s keeps an image without a region finite: predicting nothing there costs 0.

    Args:
      masks: (B,H,W) or (B,H,W,1) in [0,1]: 1 inside the region.
      predictions: (B,H,W), (B,H,W,1) or (B,H,W,C) probabilities; of several channels the last is the region's.
      smooth: s, > 0, px.

    Returns:
      float32 (B,) in [0, 1] (float64 of float64 predictions).

    Raises:
      InputError: The shapes do not fit together, or `smooth` is out of range.

    Example:
      >>> dice_loss([[[1.0, 0.0]]], [[[0.5, 0.0]]], smooth=1e-6).numpy().round(3)
      array([0.333], dtype=float32)

    Source: F. Milletari et al., V-Net, 3DV 2016, with sums instead of sums of squares in the denominator; Zhuang et
      al. 2023, section 4.4 name the loss and give no formula.
    """
    smooth = checked_number("smooth", smooth, is_open=True)
    predictions = tf.convert_to_tensor(predictions)
    if predictions.dtype != tf.float64:  # 16 bits cannot count the pixels of an image
        predictions = tf.cast(predictions, tf.float32)
    masks = tf.cast(masks, predictions.dtype)
    region = predictions[..., -1] if predictions.shape.rank == 4 else predictions
    masks = masks[..., 0] if masks.shape.rank == 4 and masks.shape[-1] == 1 else masks
    if region.shape.rank != 3 or masks.shape.rank != 3 or not region.shape.is_compatible_with(masks.shape):
        raise InputError(
            "dice_loss takes masks (B,H,W) or (B,H,W,1) and predictions of the same B, H, W with any number of "
            f"channels. Received masks {masks.shape} and predictions {predictions.shape}."
        )
    overlap = tf.reduce_sum(region * masks, axis=(1, 2))
    total = tf.reduce_sum(region + masks, axis=(1, 2))
    return 1.0 - (2.0 * overlap + smooth) / (total + smooth)


@register
class DiceLoss(keras.losses.Loss):
    """`dice_loss` as a Keras loss.

    Args:
      smooth: s, > 0, px.
      name: Of the loss.

    Raises:
      InputError: `smooth` is out of range.
    """

    def __init__(self, smooth: float = 1.0, name: str = "dice_loss") -> None:
        super().__init__(name=name)
        self.smooth = checked_number("smooth", smooth, is_open=True)

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """Masks and probabilities -> (B,)."""
        return dice_loss(y_true, y_pred, self.smooth)

    def get_config(self) -> dict[str, Any]:
        return {"smooth": self.smooth, "name": self.name}
