"""The attention loss that a model takes, and its value for the maps of several attention layers."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from care_tf.attention import normalize_map
from care_tf.errors import InputError
from care_tf.losses import AttentionLoss
from care_tf.losses.outside_loss import OutsideLoss


def check_attention_loss(loss: Any, layers: Sequence[str]) -> AttentionLoss | OutsideLoss:
    """The loss; the paper's for None.

    Raises:
      InputError: It is none, or it asks the network in place of the maps, and there are several attention layers.
    """
    if loss is None:
        return AttentionLoss()
    if not isinstance(loss, AttentionLoss | OutsideLoss):
        raise InputError(
            "attention_loss must be an AttentionLoss, an OutsidePerturbation or an InputGradient. Received "
            f"{type(loss).__name__}. Make one, or leave it out for the paper's."
        )
    if isinstance(loss, OutsideLoss) and len(layers) > 1:
        raise InputError(
            f"{type(loss).__name__} acts on the network and on no map, so there is no mean over attention layers. "
            f"Received attention_layer={list(layers)!r}. Name the one whose map is shown, or choose an AttentionLoss "
            "(in configurations the form care, outside, energy or l1)."
        )
    return loss


def map_losses(loss: AttentionLoss, maps: Sequence[tf.Tensor], mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """L_i of each image, the mean over the maps of n attention layers.

    L_i = (1/n) sum_l L_i(M_l, B)

    A flat map has a loss of 0, and counts in n.

    Args:
      loss: L_i(M, B), and how it takes a map.
      maps: n of float (B, h, w), not normalized; h and w may differ between them.
      mask: (B, H, W) or (B, H, W, 1), B of the formula, at the images' size.

    Returns:
      L_i, (B,) in the maps' dtype; and bool (B,), whether a map of the image is flat, and has no gradient.
    """
    taken = [normalize_map(each, loss.normalization) for each in maps]
    is_flat = [~tf.reduce_any(each > 0, axis=(1, 2)) for each in taken]
    mean = tf.add_n([loss.per_image(each, mask) for each in taken]) / len(taken)
    return mean, tf.reduce_any(tf.stack(is_flat), axis=0)
