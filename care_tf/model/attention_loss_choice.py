"""The attention losses that a model takes."""

from collections.abc import Sequence
from typing import Any

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
