"""The attention loss of CARE: attention inside the boxes is rewarded, attention outside is penalized."""

from typing import Any

import tensorflow as tf

from care_tf.errors import InputError
from care_tf.keras_generation import register
from care_tf.masks import project_mask, squeeze_mask
from care_tf.precision import at_least_float32

REDUCTIONS = ("batch", "masked")


def attention_terms(
    attention: tf.Tensor, mask: tf.Tensor, tau: float = 0.7, lam: float = 1.0
) -> tuple[tf.Tensor, tf.Tensor]:
    """The two terms of the attention loss for each image.

    inner = -min( sum(M_in * F) / sum(M_in), tau )
    outer = lam * sum(M_out * F) / sum(M_out),  M_out = 1 - M_in

    F is the attention map resized to the mask. Their sum is L_a. An image without a mask has both terms exactly 0,
    with zero gradient; a mask that covers the frame has outer = 0.

    Args:
      attention: float (B, h, w) in [0, 1], normalized activation maps at any resolution.
      mask: (B, H, W) or (B, H, W, 1), 1 inside the boxes and 0 outside; all zeros for "no box".
      tau: Cap of the mean attention inside the box, in [0, 1]; above it the inner term has no gradient.
      lam: Weight of the outer term, >= 0; already applied to the returned term.

    Returns:
      (inner, outer), float32 (B,) each (float64 of float64 attention); inner in [-tau, 0], outer in [0, lam].

    Raises:
      ValueError: `mask` or `attention` has the wrong rank.

    Example:
      >>> import tensorflow as tf
      >>> inner, outer = attention_terms(tf.constant([[[1.0, 0.0]]]), tf.constant([[[1.0, 0.0]]]), tau=0.7, lam=1.0)
      >>> float(inner[0]), float(outer[0])
      (-0.699999988079071, 0.0)

    Source: Zhuang et al. 2023, Eqs. 5-7. The 0 for an empty M_out is ours (the equation is 0/0 there).
    """
    attention = at_least_float32(attention)
    if attention.shape.rank != 3:
        raise ValueError(f"attention must have shape (B, h, w). Received shape {tuple(attention.shape)}.")
    mask = tf.cast(squeeze_mask(mask), attention.dtype)
    map_size = tuple(attention.shape[axis] or tf.shape(attention)[axis] for axis in (1, 2))
    mean_inside = _mean_over(mask, attention, map_size)
    mean_outside = _mean_over(1.0 - mask, attention, map_size)
    has_mask = tf.reduce_any(mask > 0, axis=(1, 2))
    nothing = tf.zeros_like(mean_inside)
    inner = tf.where(has_mask, -tf.minimum(mean_inside, tau), nothing)
    outer = tf.where(has_mask, lam * mean_outside, nothing)
    return inner, outer


def _mean_over(region: tf.Tensor, attention: tf.Tensor, map_size: tuple) -> tf.Tensor:
    """Mean of the resized map over a region (B, H, W), 0 where the region is empty."""
    inside = tf.einsum("bhw,bhw->b", tf.cast(project_mask(region, map_size), attention.dtype), attention)
    return tf.math.divide_no_nan(inside, tf.reduce_sum(region, axis=(1, 2)))


@register
class AttentionLoss:
    """L_a averaged over a batch.

    L_a = sum over masked images of (inner + outer) / N

    N is the number of images in the (global) batch for `reduction="batch"`, and the number of masked images for
    `reduction="masked"`. With 1 % of masked images the two differ a hundredfold in strength.

    Args:
      tau: Cap of the mean attention inside the box (Eq. 6), in [0, 1].
      lam: Weight of the attention outside the box (Eq. 5), >= 0.
      reduction: "batch" or "masked".

    Raises:
      InputError: An argument is outside its range.

    Source: Zhuang et al. 2023, Eq. 5. "batch" follows the text (loss terms averaged over all training images);
      "masked" is an extension.
    """

    def __init__(self, tau: float = 0.7, lam: float = 1.0, reduction: str = "batch"):
        if not 0.0 <= tau <= 1.0:
            raise InputError(f"tau caps a mean of values in [0, 1], so it must lie in [0, 1]. Received tau={tau!r}.")
        if not 0.0 <= lam < float("inf"):
            raise InputError(f"lam weights the attention outside the box and must be >= 0. Received lam={lam!r}.")
        if reduction not in REDUCTIONS:
            raise InputError(f"reduction must be one of {REDUCTIONS}. Received reduction={reduction!r}.")
        self.tau = float(tau)
        self.lam = float(lam)
        self.reduction = reduction

    def per_image(self, attention: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """L_a of every image: float32 (B,), 0 where there is no mask. Arguments as for `attention_terms`."""
        inner, outer = attention_terms(attention, mask, self.tau, self.lam)
        return inner + outer

    def denominator(self, has_mask: tf.Tensor) -> tf.Tensor:
        """What a batch's sum is divided by: float32 scalar. On several replicas, add theirs up before dividing.

        Args:
          has_mask: bool (B,), True for images that enter the loss.
        """
        if self.reduction == "masked":
            return tf.reduce_sum(tf.cast(has_mask, tf.float32))
        return tf.cast(tf.size(has_mask), tf.float32)

    def __call__(self, attention: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """The batch's L_a: float32 scalar, 0 for a batch without masks. Arguments as for `attention_terms`."""
        has_mask = tf.reduce_any(squeeze_mask(mask) > 0, axis=(1, 2))
        total = tf.reduce_sum(self.per_image(attention, mask))
        return tf.math.divide_no_nan(total, tf.cast(self.denominator(has_mask), total.dtype))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"tau": self.tau, "lam": self.lam, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "AttentionLoss":
        """The inverse of `get_config`."""
        return cls(**config)
