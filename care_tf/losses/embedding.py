"""Losses on embeddings by name."""

import inspect

import keras

from care_tf.losses._class_center import ClassCenterTripletLoss
from care_tf.losses._contrastive import ContrastiveLoss
from care_tf.losses._n_pair import NPairLoss
from care_tf.losses._supervised_contrastive import SupervisedContrastiveLoss
from care_tf.losses._triplet import TripletLoss
from care_tf.settings import Builder, Choice, Setting, Trait


def _entry(loss: type[keras.losses.Loss]) -> Builder:
    """A loss whose constructor says which arguments a configuration may set."""
    arguments = [name for name in inspect.signature(loss).parameters if name != "name"]
    return Builder(build=loss, arguments=dict.fromkeys(arguments, ""), traits=frozenset({Trait.LEARNS_EMBEDDING}))


EMBEDDING_LOSSES: dict[str, Builder] = {
    "contrastive": _entry(ContrastiveLoss),
    "triplet": _entry(TripletLoss),
    "class_center": _entry(ClassCenterTripletLoss),
    "n_pair": _entry(NPairLoss),
    "supervised_contrastive": _entry(SupervisedContrastiveLoss),
}


def get_embedding_loss(setting: Setting) -> keras.losses.Loss:
    """A loss on embeddings by its name.

    Args:
      setting: One of `EMBEDDING_LOSSES`, "triplet", or with arguments of its class, {"name": "triplet", "margin": 0.3}.

    Returns:
      A loss of (labels, embeddings), to hand to `CAREModel(embedding_loss=...)` or to `compile`.

    Raises:
      InputError: The name or an argument is unknown, or an argument is outside its range.

    Example:
      >>> get_embedding_loss({"name": "triplet", "mining": "semi_hard"}).mining
      'semi_hard'
    """
    choice = Choice.read(setting, EMBEDDING_LOSSES, "embedding loss")
    return EMBEDDING_LOSSES[choice.name].build(**choice.arguments)
