"""Losses on embeddings by name."""

import inspect

import keras

from care_tf.errors import InputError
from care_tf.losses.class_center import ClassCenterTripletLoss
from care_tf.losses.contrastive import ContrastiveLoss
from care_tf.losses.n_pair import NPairLoss
from care_tf.losses.supervised_contrastive import SupervisedContrastiveLoss
from care_tf.losses.triplet import TripletLoss
from care_tf.settings import Setting, setting_arguments, setting_name

EMBEDDING_LOSSES: dict[str, type[keras.losses.Loss]] = {
    "contrastive": ContrastiveLoss,
    "triplet": TripletLoss,
    "class_center": ClassCenterTripletLoss,
    "n_pair": NPairLoss,
    "supervised_contrastive": SupervisedContrastiveLoss,
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
    name, arguments = setting_name(setting), setting_arguments(setting)
    if name not in EMBEDDING_LOSSES:
        raise InputError(
            f"an embedding loss is one of {', '.join(EMBEDDING_LOSSES)}, alone or as the name beside its arguments. "
            f"Received {setting!r}."
        )
    known = [argument for argument in inspect.signature(EMBEDDING_LOSSES[name]).parameters if argument != "name"]
    unknown = [str(argument) for argument in arguments if argument not in known]
    if unknown:
        raise InputError(
            f"the embedding loss {name!r} takes {', '.join(known)}. Received {', '.join(unknown)} in {setting!r}."
        )
    return EMBEDDING_LOSSES[name](**arguments)
