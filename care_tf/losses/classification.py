"""The classification losses: their class weights, which can be changed while training runs, and their names."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.losses._class_logits import number_of_outputs
from care_tf.losses.arguments import checked_counts, checked_weights
from care_tf.named_function import is_own, made_by
from care_tf.settings import Builder, Choice, Entry, Trait, entry_of, setting_arguments, setting_name


class ClassWeightedLoss(keras.losses.Loss):
    """A loss whose class weights are a variable, read in every step of a compiled `fit`.

    `loss.class_weights` is the variable, float32 (C,); without class weights it is (1,) until some are assigned:
    `loss.class_weights = [1.0, 5.0]`. Assigned weights are no part of the configuration and are not saved.

    Args:
      class_weights: (C,), >= 0; None for ones.
      from_logits: Whether the predictions are logits.
      reduction: As of any Keras loss.
      name: Of the loss.

    Raises:
      InputError: A weight is negative or not finite.
    """

    def __init__(self, class_weights: Any, from_logits: bool, reduction: str, name: str):
        super().__init__(reduction=reduction, name=name)
        values = None if class_weights is None else checked_weights(class_weights)
        self.from_logits = bool(from_logits)
        self._initial_class_weights = None if values is None else values.tolist()
        with tf.init_scope():
            if values is None:  # the number of classes is not known yet: one 1 stands for all of them
                self._class_weights = tf.Variable(np.ones(1, np.float32), trainable=False, shape=[None])
            else:
                self._class_weights = tf.Variable(values, trainable=False, dtype=tf.float32)

    @property
    def class_weights(self) -> tf.Variable:
        """The variable; assign (C,) weights >= 0 to the property to change them."""
        return self._class_weights

    @class_weights.setter
    def class_weights(self, values: Any) -> None:
        self._class_weights.assign(checked_weights(values, self._class_weights.shape[0]))

    def weights_for(self, predictions: tf.Tensor) -> tf.Tensor:
        """The current class weights, float32 (C,), for predictions (B, C), or (B, 1) of a binary classifier."""
        num_classes = max(number_of_outputs(predictions), 2)
        num_weights = self._class_weights.shape[0]
        if num_weights is not None and num_weights != num_classes:
            raise InputError(
                f"{type(self).__name__} has {num_weights} class weights, but the predictions have {num_classes} "
                "classes. Give one weight for each class."
            )
        return tf.broadcast_to(self._class_weights, (num_classes,))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        return {**config, "class_weights": self._initial_class_weights}


Loss = TypeVar("Loss", bound=type[ClassWeightedLoss])
CLASSIFICATION_LOSSES: dict[str, Builder] = {}
"""Name -> what builds the loss and the arguments that it takes; the losses list themselves."""


def named(name: str, *traits: Trait, **arguments: str) -> Callable[[Loss], Loss]:
    """Lists a loss in `CLASSIFICATION_LOSSES`.

    Args:
      name: What configurations call it.
      *traits: What it does that other settings may contradict.
      **arguments: Arguments that may stand beside the name, and what they mean. Class counts come from the data.
    """

    def listed(loss: Loss) -> Loss:
        CLASSIFICATION_LOSSES[name] = Builder(build=loss, arguments=arguments, traits=frozenset(traits))
        return loss

    return listed


def classification_loss_entry(setting: Any) -> Entry:
    """What is known of a setting's loss; nothing of a user's own."""
    if is_own(setting_name(setting)):
        return Entry()
    return entry_of(setting, CLASSIFICATION_LOSSES, "classification loss")


def get_classification_loss(
    setting: Any, class_counts: Any, class_weights: Any = None, from_logits: bool = False
) -> keras.losses.Loss:
    """The Keras loss that a setting of a configuration means.

    Args:
      setting: A name from `CLASSIFICATION_LOSSES`, or {"name": ..., **arguments}; the name may be a user's own,
        "module:function", which makes a `keras.losses.Loss` from the arguments and those of class_counts, class_weights
        and from_logits that it names.
      class_counts: (C,), training samples of each class, > 0.
      class_weights: (C,), >= 0; None for ones.
      from_logits: Whether the predictions will be logits.

    Returns:
      A loss with C class weights, which can be changed while training runs; or the user's own.

    Raises:
      InputError: The name or an argument is unknown, an argument is out of range, or there is not one positive count
        and one weight >= 0 for each class.

    Example:
      >>> get_classification_loss({"name": "focal", "gamma": 1}, class_counts=[90, 10]).gamma
      1.0
    """
    counts = checked_counts(class_counts)
    # Ones instead of None: the loss then knows the number of classes, whoever re-weights it later.
    weights = checked_weights(np.ones(len(counts)) if class_weights is None else class_weights, len(counts))
    if is_own(setting_name(setting)):
        return _own_loss(setting, counts, weights, from_logits)
    choice = Choice.read(setting, CLASSIFICATION_LOSSES, "classification loss")
    entry = CLASSIFICATION_LOSSES[choice.name]
    from_counts = {"class_counts": counts} if "class_counts" in inspect.signature(entry.build).parameters else {}
    try:
        return entry.build(**choice.arguments, **from_counts, class_weights=weights, from_logits=from_logits)
    except InputError as error:
        raise InputError(
            f"The classification loss {choice.name!r}: {error} Its arguments: {entry.described_arguments()}."
        ) from error


def _own_loss(setting: Any, counts: np.ndarray, weights: np.ndarray, from_logits: bool) -> keras.losses.Loss:
    name = setting_name(setting)
    offered = {"class_counts": counts, "class_weights": weights, "from_logits": from_logits}
    make, taken = made_by(name, "classification loss", setting_arguments(setting), offered)
    if (weights != 1).any() and "class_weights" not in taken:
        raise InputError(
            f"The classification loss {name} must name class_weights to be weighted. Received a class_weight of the "
            "stage beside a function that does not. Add that argument, or leave class_weight out."
        )
    loss = make()
    if not isinstance(loss, keras.losses.Loss):
        raise InputError(
            f"The classification loss {name} must make a keras.losses.Loss. Received {type(loss).__name__}. Return an "
            "instance of a subclass, or keras.losses.LossFunctionWrapper(function)."
        )
    return loss
