"""Deferred re-weighting: plain training first, class weights in the loss for the last epochs."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from care_tf.errors import InputError
from care_tf.losses.arguments import checked_weights
from care_tf.losses.classification import CLASSIFICATION_LOSSES, ClassWeightedLoss


class DeferredReweighting(keras.callbacks.Callback):
    """Gives the compiled loss class weights from an epoch on.

    w = what the loss had,   epoch < start_epoch
    w = class_weights,       epoch >= start_epoch

    Only the epoch's number decides, so training that resumes with `initial_epoch` is right. The optimizer is not
    disturbed and nothing is compiled again. When `fit` ends, the loss has the weights that it had before.

    Args:
      start_epoch: The first epoch with the class weights, >= 0, as `fit` counts: from 0.
      class_weights: (C,), >= 0; or {class index: weight}, where classes that are not named get 1.

    Raises:
      InputError: An argument is out of range, the compiled loss has no class weights, or there is not one weight for
        each class.

    Example:
      >>> DeferredReweighting(start_epoch=160, class_weights=[0.6, 3.0]).start_epoch
      160

    Source: Cao et al. 2019, section 3.3 and Algorithm 1 (DRW). The paper lowers the learning rate at the same epoch:
      use a schedule for that.
    """

    def __init__(self, start_epoch: int, class_weights: Any):
        super().__init__()
        if isinstance(start_epoch, bool) or not isinstance(start_epoch, int | np.integer) or start_epoch < 0:
            raise InputError(f"start_epoch must be an integer >= 0. Received start_epoch={start_epoch!r}.")
        self.start_epoch = int(start_epoch)
        if isinstance(class_weights, Mapping):
            if not all(isinstance(index, int | np.integer) and index >= 0 for index in class_weights):
                raise InputError(
                    "class_weights as a mapping must be {class index: weight}, with indices from 0. "
                    f"Received the keys {list(class_weights)}."
                )
            checked_weights([1.0, 1.0, *class_weights.values()])
            self.class_weights: Any = {int(index): weight for index, weight in class_weights.items()}
        else:
            self.class_weights = checked_weights(class_weights)
        self._loss: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Remembers the loss's weights."""
        loss = self.model.loss
        if not isinstance(loss, ClassWeightedLoss):
            received = loss if isinstance(loss, str) else type(loss).__name__
            names = sorted({entry.build.__name__ for entry in CLASSIFICATION_LOSSES.values()})
            raise InputError(
                "DeferredReweighting sets the class weights of the compiled loss. Received a model with the loss "
                f"{received}, which has none. Compile with one of care_tf.losses: {', '.join(names)}."
            )
        if loss is not self._loss:  # an interrupted `fit` left the new weights behind
            self._loss, self._weights_before = loss, loss.class_weights.numpy()
        self._weights = self._weights_of_all_classes(loss)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Sets the weights of the epoch."""
        if epoch >= self.start_epoch:
            self._loss.class_weights = self._weights
        else:
            self._loss.class_weights.assign(self._weights_before)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Gives the loss its weights back."""
        self._loss.class_weights.assign(self._weights_before)
        self._loss = None

    def _weights_of_all_classes(self, loss: ClassWeightedLoss) -> np.ndarray:
        """Checks the number of weights while the error can still name it, before the first epoch."""
        num_classes = loss.class_weights.shape[0] or _number_of_classes(self.model)
        if not isinstance(self.class_weights, dict):
            return checked_weights(self.class_weights, num_classes)
        if num_classes is None:
            raise InputError(
                "DeferredReweighting: the number of classes is not known from the model, so {class index: weight} "
                "cannot be completed. Give one weight for each class."
            )
        outside = sorted(index for index in self.class_weights if index >= num_classes)
        if outside:
            raise InputError(
                f"DeferredReweighting: there are {num_classes} classes, 0 to {num_classes - 1}. Received weights for "
                f"{outside}."
            )
        return checked_weights([self.class_weights.get(index, 1.0) for index in range(num_classes)])


def _number_of_classes(model: keras.Model) -> int | None:
    """From the shape of the model's output (a CAREModel's is its classifier's); None where it has none yet."""
    shape = getattr(getattr(model, "classifier", model), "output_shape", None)
    return max(int(shape[-1]), 2) if isinstance(shape, tuple) and len(shape) == 2 and shape[-1] else None
