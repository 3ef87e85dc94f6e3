"""Right for the right reasons: a prediction must not have a gradient outside the boxes."""

import math

import tensorflow as tf

from care_tf.keras_generation import register
from care_tf.losses.arguments import checked_number
from care_tf.losses.outside_loss import GRADIENT_SCALE, LogProbabilities, OutsideLoss, outside_of, where_outside


@register
class InputGradient(OutsideLoss):
    """The gradient of the log-probabilities outside the boxes.

    L_i = sum over pixels and channels of ( (1 - M_i) e d(sum_k log p_k(x_i)) / dx_i )^2

    e is `strength` times the standard deviation of each channel over the batch. L_i is thus, to first order, how much
    noise of that size outside the boxes makes sum_k log p_k vary: it depends neither on the range of what the network
    is given, nor on how many pixels share in a change. Without e, a mean over pixels would be about 1e-6, which no
    alpha in [0, 1] makes count.

    The gradient is taken in inference mode, where no image's prediction depends on another image, and is itself
    differentiated: every layer of the network needs a second-order gradient.

    Args:
      strength: Size of the noise that L_i stands for, in standard deviations of the input, > 0.
      reduction: "batch", "masked" or "class_balanced", as for `AttentionLoss`.

    Raises:
      InputError: An argument is outside its range.

    Source: Ross, Hughes & Doshi-Velez, "Right for the Right Reasons", IJCAI 2017, Eq. 2, whose weight lambda_1 is
      strength^2 here. The standard deviation is ours.
    """

    needs_second_order = True

    def __init__(self, strength: float = 0.1, reduction: str = "batch"):
        super().__init__(reduction)
        self.strength = checked_number("strength", strength, is_open=True)

    def per_image(
        self, log_probabilities: LogProbabilities, images: tf.Tensor, mask: tf.Tensor, scale: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """L_i of every image; see `OutsideLoss.per_image`. Nothing is drawn."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            logs = log_probabilities(images)
            # Of a sure prediction of K classes the gradient is of the order of K, too much for float16 times the scale.
            factor = GRADIENT_SCALE / 2 ** math.ceil(math.log2(logs.shape[-1]))
            total = factor * tf.reduce_sum(logs)
        slope = tape.gradient(total, images) / factor
        outside = outside_of(mask, images)
        size = tf.cast(self.strength * scale, images.dtype)
        return where_outside(outside, tf.reduce_sum((outside * size * slope) ** 2, axis=(1, 2, 3)))
