"""The classification losses by name, for configurations."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from care_tf.errors import InputError
from care_tf.losses._cost_sensitive import CostSensitiveCrossEntropy
from care_tf.losses._focal import FocalLoss
from care_tf.losses._ldam import LDAMLoss
from care_tf.losses._logit_adjustment import LogitAdjustedLoss
from care_tf.losses.arguments import checked_counts, checked_weights
from care_tf.losses.class_weighted_loss import ClassWeightedLoss
from care_tf.settings import Builder, Choice, Trait


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassificationLoss(Builder):
    """A loss that a configuration can name.

    Attributes:
      build: Its class.
      needs_counts: Whether it is built from the class counts.
    """

    build: Callable[..., ClassWeightedLoss]
    needs_counts: bool = False


_CORRECTS = frozenset({Trait.CORRECTS_FOR_COUNTS})

CLASSIFICATION_LOSSES: dict[str, ClassificationLoss] = {
    "cross_entropy": ClassificationLoss(build=CostSensitiveCrossEntropy),
    "focal": ClassificationLoss(build=FocalLoss, arguments={"gamma": "discount of well-classified samples, >= 0"}),
    "ldam": ClassificationLoss(
        build=LDAMLoss,
        arguments={"max_margin": "margin of the rarest class, >= 0", "scale": "factor of the logits, > 0"},
        needs_counts=True,
    ),
    # logit_adjustment with its default, tau = 1
    "balanced_softmax": ClassificationLoss(build=LogitAdjustedLoss, traits=_CORRECTS, needs_counts=True),
    "logit_adjustment": ClassificationLoss(
        build=LogitAdjustedLoss,
        arguments={"tau": "strength of the adjustment, >= 0"},
        traits=_CORRECTS,
        needs_counts=True,
    ),
}


def get_classification_loss(
    setting: Any, class_counts: Any, class_weights: Any = None, from_logits: bool = False
) -> ClassWeightedLoss:
    """The Keras loss that a setting of a configuration means.

    Args:
      setting: A name from `CLASSIFICATION_LOSSES`, or {"name": ..., **arguments}.
      class_counts: (C,), training samples of each class, > 0.
      class_weights: (C,), >= 0; None for ones.
      from_logits: Whether the predictions will be logits.

    Returns:
      A loss with C class weights, which can be changed while training runs.

    Raises:
      InputError: The name or an argument is unknown, an argument is out of range, or there is not one positive count
        and one weight >= 0 for each class.

    Example:
      >>> get_classification_loss({"name": "focal", "gamma": 1}, class_counts=[90, 10]).gamma
      1.0
    """
    choice = Choice.read(setting, CLASSIFICATION_LOSSES, "classification loss")
    entry = CLASSIFICATION_LOSSES[choice.name]
    counts = checked_counts(class_counts)
    # Ones instead of None: the loss then knows the number of classes, whoever re-weights it later.
    weights = checked_weights(np.ones(len(counts)) if class_weights is None else class_weights, len(counts))
    from_counts = {"class_counts": counts} if entry.needs_counts else {}
    try:
        return entry.build(**choice.arguments, **from_counts, class_weights=weights, from_logits=from_logits)
    except InputError as error:
        raise InputError(
            f"The classification loss {choice.name!r}: {error} Its arguments: {entry.described_arguments()}."
        ) from error
