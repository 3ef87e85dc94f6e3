"""The attention loss of CARE: attention inside the boxes is rewarded, attention outside is penalized."""

from typing import Any

import tensorflow as tf

from care_tf.errors import InputError
from care_tf.keras_generation import register
from care_tf.losses._outside_weights import outside_weights
from care_tf.losses.arguments import checked_choice
from care_tf.masks import project_mask, squeeze_mask
from care_tf.precision import at_least_float32

REDUCTIONS = ("batch", "masked", "class_balanced")
OUTSIDE = ("uniform", "distance")


def attention_terms(
    attention: tf.Tensor, mask: tf.Tensor, tau: float = 0.7, lam: float = 1.0, outside: str = "uniform"
) -> tuple[tf.Tensor, tf.Tensor]:
    """The two terms of the attention loss for each image.

    inner = -min( sum(M_in * F) / sum(M_in), tau )
    outer = lam * sum(M_out * F) / sum(M_out)

    F is the attention map resized to the mask. M_out is 1 - M_in; with `outside="distance"` it is that times a weight
    from 1 beside the boxes to 2 farthest from them (`outside_weights`). Their sum is L_a. An image without a mask has
    both terms exactly 0, with zero gradient; a mask that covers the frame has outer = 0.

    Args:
      attention: float (B, h, w) in [0, 1], normalized activation maps at any resolution.
      mask: (B, H, W) or (B, H, W, 1), 1 inside the boxes and 0 outside; all zeros for "no box".
      tau: Cap of the mean attention inside the box, in [0, 1]; above it the inner term has no gradient.
      lam: Weight of the outer term, >= 0; already applied to the returned term.
      outside: "uniform", or "distance": attention counts the more, the farther it is from the boxes. An even map has
        the same outer term with both.

    Returns:
      (inner, outer), float32 (B,) each (float64 of float64 attention); inner in [-tau, 0], outer in [0, lam].

    Raises:
      ValueError: `mask` or `attention` has the wrong rank, or `outside` is another word.

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
    if checked_choice("outside", outside, OUTSIDE) == "distance":
        weights = tf.cast(outside_weights(mask, map_size), attention.dtype)
        total = tf.reduce_sum(weights, axis=(1, 2))
        mean_outside = tf.math.divide_no_nan(tf.einsum("bhw,bhw->b", weights, attention), total)
    else:
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

    L_a = sum over masked images of w_i (inner_i + outer_i)

    | reduction        | w_i         | average over                                                             |
    |------------------|-------------|--------------------------------------------------------------------------|
    | "batch"          | 1 / N       | all images of the (global) batch: the paper's                            |
    | "masked"         | 1 / n       | the images with a mask                                                   |
    | "class_balanced" | 1 / (K n_c) | the K classes with a mask in the batch, then the n_c masked images of c  |

    With 1 % of masked images "batch" and "masked" differ a hundredfold in strength. Where several classes have masks,
    a class ten times as large has ten times the share in both; with "class_balanced" every class has the same. With
    masks of one class only, "class_balanced" is "masked".

    Args:
      tau: Cap of the mean attention inside the box (Eq. 6), in [0, 1].
      lam: Weight of the attention outside the box (Eq. 5), >= 0.
      reduction: "batch", "masked" or "class_balanced".
      outside: "uniform" (the paper's) or "distance", as for `attention_terms`.

    Raises:
      InputError: An argument is outside its range.

    Source: Zhuang et al. 2023, Eq. 5. "batch" follows the text (loss terms averaged over all training images);
      "masked" and "class_balanced" are extensions. Why the last: in the paper's Table 10 the smallest class loses
      recall as larger classes get masks.
    """

    def __init__(self, tau: float = 0.7, lam: float = 1.0, reduction: str = "batch", outside: str = "uniform"):
        if not 0.0 <= tau <= 1.0:
            raise InputError(f"tau caps a mean of values in [0, 1], so it must lie in [0, 1]. Received tau={tau!r}.")
        if not 0.0 <= lam < float("inf"):
            raise InputError(f"lam weights the attention outside the box and must be >= 0. Received lam={lam!r}.")
        if reduction not in REDUCTIONS:
            raise InputError(f"reduction must be one of {REDUCTIONS}. Received reduction={reduction!r}.")
        self.tau = float(tau)
        self.lam = float(lam)
        self.reduction = reduction
        self.outside = checked_choice("outside", outside, OUTSIDE)

    def per_image(self, attention: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """L_a of every image: float32 (B,), 0 where there is no mask. Arguments as for `attention_terms`."""
        inner, outer = attention_terms(attention, mask, self.tau, self.lam, self.outside)
        return inner + outer

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

    def __call__(self, attention: tf.Tensor, mask: tf.Tensor, class_index: tf.Tensor | None = None) -> tf.Tensor:
        """The batch's L_a: float32 scalar, 0 for a batch without masks.

        Args:
          attention: As for `attention_terms`.
          mask: As for `attention_terms`.
          class_index: As for `image_weights`.

        Raises:
          InputError: As for `image_weights`.
        """
        has_mask = tf.reduce_any(squeeze_mask(mask) > 0, axis=(1, 2))
        per_image = self.per_image(attention, mask)
        weights = self.image_weights(has_mask, class_index)
        return tf.reduce_sum(tf.cast(weights, per_image.dtype) * per_image)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"tau": self.tau, "lam": self.lam, "reduction": self.reduction, "outside": self.outside}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "AttentionLoss":
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
