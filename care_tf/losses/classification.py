"""The classification losses by name, for configurations."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from care_tf.errors import InputError
from care_tf.losses.arguments import checked_counts, checked_weights
from care_tf.losses.class_weighted_loss import ClassWeightedLoss
from care_tf.losses.cost_sensitive import CostSensitiveCrossEntropy
from care_tf.losses.focal import FocalLoss
from care_tf.losses.ldam import LDAMLoss
from care_tf.losses.logit_adjustment import LogitAdjustedLoss


@dataclasses.dataclass(frozen=True)
class ClassificationLoss:
    """A loss that a configuration can name.

    Attributes:
      build: Its class.
      arguments: What a configuration may set, with what it means.
      needs_counts: Whether it is built from the class counts.
    """

    build: Callable[..., ClassWeightedLoss]
    arguments: Mapping[str, str]
    needs_counts: bool = False


CLASSIFICATION_LOSSES: dict[str, ClassificationLoss] = {
    "cross_entropy": ClassificationLoss(CostSensitiveCrossEntropy, {}),
    "focal": ClassificationLoss(FocalLoss, {"gamma": "discount of well-classified samples, >= 0"}),
    "ldam": ClassificationLoss(
        LDAMLoss,
        {"max_margin": "margin of the rarest class, >= 0", "scale": "factor of the logits, > 0"},
        needs_counts=True,
    ),
    "balanced_softmax": ClassificationLoss(LogitAdjustedLoss, {}, needs_counts=True),  # its default, tau = 1
    "logit_adjustment": ClassificationLoss(
        LogitAdjustedLoss, {"tau": "strength of the adjustment, >= 0"}, needs_counts=True
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
    arguments = {"name": setting} if isinstance(setting, str) else setting
    if not isinstance(arguments, Mapping) or "name" not in arguments:
        raise InputError(
            "A classification loss is a name or {'name': ..., **arguments}. "
            f"Received {setting!r}. Known names: {_known_names()}."
        )
    arguments = dict(arguments)
    name = arguments.pop("name")
    if name not in CLASSIFICATION_LOSSES:
        raise InputError(f"Unknown classification loss {name!r}. Known: {_known_names()}.")
    entry = CLASSIFICATION_LOSSES[name]
    known = "; ".join(f"{argument}: {meaning}" for argument, meaning in entry.arguments.items()) or "none"
    unknown = sorted(set(map(str, arguments)) - set(entry.arguments))
    if unknown:
        raise InputError(
            f"The classification loss {name!r} does not take {', '.join(unknown)}. Its arguments: {known}."
        )
    counts = checked_counts(class_counts)
    # Ones instead of None: the loss then knows the number of classes, whoever re-weights it later.
    weights = checked_weights(np.ones(len(counts)) if class_weights is None else class_weights, len(counts))
    if entry.needs_counts:
        arguments["class_counts"] = counts
    try:
        return entry.build(**arguments, class_weights=weights, from_logits=from_logits)
    except InputError as error:
        raise InputError(f"The classification loss {name!r}: {error} Its arguments: {known}.") from error


def _known_names() -> str:
    return ", ".join(CLASSIFICATION_LOSSES)
