"""Losses of how a prediction depends on what lies outside the boxes; they ask the network, not an attention map."""

from collections.abc import Callable

import tensorflow as tf

from care_tf.losses._masked_loss import MaskedLoss
from care_tf.masks import squeeze_mask

LogProbabilities = Callable[[tf.Tensor], tf.Tensor]
"""Images (B, H, W, C) -> log-probabilities (B, K), whose exponentials of each image are distributions."""

# Keeps the gradients of float16 networks from vanishing. A power of two, taken out again without rounding.
GRADIENT_SCALE = 1024.0


class OutsideLoss(MaskedLoss):
    """What takes an attention loss's place in `CAREModel` and acts on the network's predictions.

    Subclasses define `per_image`. The model gives them the masked images alone, and a network in inference mode.
    """

    # Whether the gradient with respect to the image is itself differentiated.
    needs_second_order = False
    differentiates_map = False

    @property
    def least_images(self) -> int:
        """Masked images that a step must have, on each replica, to train anything."""
        return 1

    @property
    def reached(self) -> float:
        """Infinite: nothing can be read from whether it falls, since it is near 0 until the network has learned."""
        return float("inf")

    def per_image(
        self, log_probabilities: LogProbabilities, images: tf.Tensor, mask: tf.Tensor, scale: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """L_i of every image.

        Args:
          log_probabilities: The network; differentiable.
          images: float (B, H, W, C), as the network takes them. B may be 0.
          mask: (B, H, W) or (B, H, W, 1), 1 inside the boxes and 0 outside.
          scale: float (C,), the standard deviation of each channel.
          seed: int (2,), of what is drawn.

        Returns:
          (B,), >= 0, the dtype of the log-probabilities; exactly 0, without a gradient, for a mask that covers the
          frame.
        """
        raise NotImplementedError


def outside_of(mask: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """1 - M for images (B, H, W, C): (B, H, W, 1), their dtype."""
    return tf.cast(1.0 - squeeze_mask(mask), images.dtype)[..., tf.newaxis]


def where_outside(outside: tf.Tensor, losses: tf.Tensor) -> tf.Tensor:
    """The losses (B,) of images with anything outside their mask, 0 without a gradient for the others."""
    return tf.where(tf.reduce_any(outside > 0, axis=(1, 2, 3)), losses, tf.zeros_like(losses))
