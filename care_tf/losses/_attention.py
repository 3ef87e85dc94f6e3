"""The attention loss of CARE: attention inside the boxes is rewarded, attention outside is penalized."""

from typing import Any

import tensorflow as tf

from care_tf.errors import InputError
from care_tf.keras_generation import register
from care_tf.losses._masked_loss import MaskedLoss
from care_tf.losses._outside_weights import outside_weights
from care_tf.losses._positive_attention import attention_distance, attention_energy
from care_tf.losses.arguments import checked_choice
from care_tf.masks import project_mask, squeeze_mask
from care_tf.precision import at_least_float32

OUTSIDE = ("uniform", "distance")
# Form -> the arguments that it uses, and the normalization of the maps that it takes.
FORMS = {
    "care": (("tau", "lam", "outside"), "min_max"),
    "outside": (("lam", "outside"), "min_max"),
    "energy": ((), "positive"),
    "l1": ((), "positive"),
}
DEFAULTS: dict[str, Any] = {"tau": 0.7, "lam": 1.0, "outside": "uniform"}
_REACHED = 0.9  # of what a form can reach: a loss that low has nowhere to fall


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
class AttentionLoss(MaskedLoss):
    """L_a of attention maps, averaged over a batch.

    L_a = sum over masked images of w_i L_i

    | form      | L_i                        | maps A                                      | source             |
    |-----------|----------------------------|---------------------------------------------|--------------------|
    | "care"    | inner_i + outer_i          | min-max normalized                          | Zhuang et al. 2023 |
    | "outside" | outer_i                    | min-max normalized                          | its second term    |
    | "energy"  | 1 - sum(M_in A) / sum(A)   | positive part, divided by its largest value | Rao et al. 2023    |
    | "l1"      | mean of abs(M_in - A)      | positive part, divided by its largest value | Rao et al. 2023    |

    inner and outer are those of `attention_terms`; "energy" is `attention_energy`, "l1" `attention_distance`. The
    weights w_i are those of `reduction`, one choice for all forms:

    | reduction        | w_i         | average over                                                             |
    |------------------|-------------|--------------------------------------------------------------------------|
    | "batch"          | 1 / N       | all images of the (global) batch: the paper's                            |
    | "masked"         | 1 / n       | the images with a mask                                                   |
    | "class_balanced" | 1 / (K n_c) | the K classes with a mask in the batch, then the n_c masked images of c  |

    With 1 % of masked images "batch" and "masked" differ a hundredfold in strength. Where several classes have masks,
    a class ten times as large has ten times the share in both; with "class_balanced" every class has the same. With
    masks of one class only, "class_balanced" is "masked".

    Args:
      tau: Cap of the mean attention inside the box (Eq. 6), in [0, 1]. Of "care" alone.
      lam: Weight of the attention outside the box (Eq. 5), >= 0. Of "care" and "outside".
      reduction: "batch", "masked" or "class_balanced".
      outside: "uniform" (the paper's) or "distance", as for `attention_terms`. Of "care" and "outside".
      form: "care" (the paper's), "outside", "energy" or "l1".

    Raises:
      InputError: An argument is outside its range, or differs from its default though the form does not use it.

    Source: Zhuang et al. 2023, Eqs. 5-7; Rao et al., "Studying How to Efficiently and Effectively Guide Models with
      Explanations", ICCV 2023, for "energy" and "l1". The reduction "batch" follows the first's text (loss terms
      averaged over all training images); "masked" and "class_balanced" are extensions. Why the last: in its Table 10
      the smallest class loses recall as larger classes get masks.
    """

    def __init__(
        self,
        tau: float = DEFAULTS["tau"],
        lam: float = DEFAULTS["lam"],
        reduction: str = "batch",
        outside: str = DEFAULTS["outside"],
        form: str = "care",
    ):
        super().__init__(reduction)
        if not 0.0 <= tau <= 1.0:
            raise InputError(f"tau caps a mean of values in [0, 1], so it must lie in [0, 1]. Received tau={tau!r}.")
        if not 0.0 <= lam < float("inf"):
            raise InputError(f"lam weights the attention outside the box and must be >= 0. Received lam={lam!r}.")
        self.tau = float(tau)
        self.lam = float(lam)
        self.outside = checked_choice("outside", outside, OUTSIDE)
        self.form = checked_choice("form", form, tuple(FORMS))
        check_unused(form, FORMS[form][0], {name: getattr(self, name) for name in DEFAULTS})

    @property
    def normalization(self) -> str:
        """How the maps that the form takes are normalized: a name of `care_tf.attention.normalize_map`."""
        return FORMS[self.form][1]

    @property
    def reached(self) -> float:
        """The mean L_i, over masked images, from which on there is little left to fall."""
        lowest, highest = {"care": (-self.tau, 0.0), "outside": (0.0, self.lam)}.get(self.form, (0.0, 1.0))
        return _REACHED * lowest + (1.0 - _REACHED) * highest

    def per_image(self, attention: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """L_i of every image: float32 (B,), 0 where there is no mask.

        Args:
          attention: float (B, h, w) in [0, 1], activation maps with the form's `normalization`.
          mask: As for `attention_terms`.
        """
        if self.form == "energy":
            return attention_energy(attention, mask)
        if self.form == "l1":
            return attention_distance(attention, mask)
        inner, outer = attention_terms(attention, mask, self.tau, self.lam, self.outside)
        return outer if self.form == "outside" else inner + outer

    def __call__(self, attention: tf.Tensor, mask: tf.Tensor, class_index: tf.Tensor | None = None) -> tf.Tensor:
        """The batch's L_a: float32 scalar, 0 for a batch without masks.

        Args:
          attention: As for `per_image`.
          mask: As for `attention_terms`.
          class_index: As for `image_weights`.

        Raises:
          InputError: As for `image_weights`.
        """
        has_mask = tf.reduce_any(squeeze_mask(mask) > 0, axis=(1, 2))
        per_image = self.per_image(attention, mask)
        weights = self.image_weights(has_mask, class_index)
        return tf.reduce_sum(tf.cast(weights, per_image.dtype) * per_image)


def check_unused(form: str, used: tuple[str, ...], given: dict[str, Any]) -> None:
    """Refuses another value than its default for an argument of maps that a form does not use.

    Args:
      form: Its name, for the message.
      used: The arguments that it uses.
      given: The value of each of `DEFAULTS`.

    Raises:
      InputError: It was given one that it does not use.
    """
    for name, default in DEFAULTS.items():
        if name not in used and given[name] != default:
            raise InputError(
                f"An argument that a form does not use must keep its default. Received {name}={given[name]!r} for "
                f"form={form!r}. Set {name}={default!r}."
            )
