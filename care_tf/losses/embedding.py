"""The losses on embeddings: how Keras calls them, and their names."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import keras
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.settings import Builder, Choice, Setting, Trait


class EmbeddingLoss(keras.losses.Loss):
    """A loss of a batch's labels and embeddings that looks at pairs, so that its value belongs to no single example.

    Subclasses define `call(y_true, y_pred)`: labels (B,) or (B, 1), or one-hot (B, C); embeddings float (B, d); returns
    a scalar, in float32 (float64 of float64) whatever the dtype policy. On several replicas `CAREModel` hands each the
    embeddings of all; given to `compile`, it sees the pairs of a replica's own images in other models.

    Args:
      name: Name of the loss.
    """

    def __init__(self, name: str):
        super().__init__(reduction="none", name=name)  # the value is a scalar: nothing is left to reduce

    def __call__(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        """The batch's loss. (Keras's own `__call__` would cast labels and float64 embeddings to float32.)

        Raises:
          InputError: Sample weights are given, or labels or embeddings have another shape.
        """
        if sample_weight is not None:
            raise InputError(
                f"{type(self).__name__} is a mean over pairs or triplets, to which weights of single examples do not "
                "apply. Received: a sample_weight (or a class_weight, which Keras turns into one). Leave it out, and "
                "draw the batches in balance instead."
            )
        return self.call(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}


Loss = TypeVar("Loss", bound=type[EmbeddingLoss])
EMBEDDING_LOSSES: dict[str, Builder] = {}
"""Name -> what builds the loss and the arguments that it takes; the losses list themselves."""


def named(name: str) -> Callable[[Loss], Loss]:
    """Lists a loss in `EMBEDDING_LOSSES`; beside the name may stand whatever its constructor takes."""

    def listed(loss: Loss) -> Loss:
        arguments = [argument for argument in inspect.signature(loss).parameters if argument != "name"]
        traits = frozenset({Trait.LEARNS_EMBEDDING})
        EMBEDDING_LOSSES[name] = Builder(build=loss, arguments=dict.fromkeys(arguments, ""), traits=traits)
        return loss

    return listed


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

    Source: Metric learning in stage 1 follows Zeng et al., arXiv 2207.06975, of which only the abstract was at hand: it
      names no loss, so the family is offered.
    """
    choice = Choice.read(setting, EMBEDDING_LOSSES, "embedding loss")
    return EMBEDDING_LOSSES[choice.name].build(**choice.arguments)
