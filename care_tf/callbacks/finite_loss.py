"""Stops a run whose loss explodes, or whose weights are no longer numbers, with the weights that it had before."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from care_tf.callbacks.batch_losses import TERMS, BatchLosses
from care_tf.errors import InputError
from care_tf.keras_generation import number_in
from care_tf.network.finite_weights import weights_not_finite
from care_tf.problems import listed


class FiniteLoss(keras.callbacks.Callback):
    """Raises at the first batch whose loss is no number or too large, or at an epoch's end where a weight is none.

    The model then has the weights again that it had when the epoch began. Give it before callbacks that save the model:
    these then keep the last good weights. Keras's logs hold running means over the epoch's images; what is checked is
    the loss of the batch alone (`BatchLosses`). With `steps_per_execution` > 1 Keras tells of several batches at once,
    and their mean loss is checked.

    Args:
      images_of: (epoch, batch), both from 0 -> what the batch held, for the message; None where nobody knows.
      largest_loss: The largest size of a batch's loss, > 0; None for no limit. The default is far beyond what training
        comes back from: a network that gives each true class a probability of e^-1000 has a cross entropy of 1000.

    Raises:
      InputError: The loss is not a number, or larger than that; names epoch and batch, both from 1, which of the terms
        it was, and the images of the batch. Or weights are not finite, which the loss need not show; names the epoch
        and the first of them. Or `largest_loss` is not above 0.
    """

    def __init__(self, images_of: Callable[[int, int], Sequence[str]] | None = None, largest_loss: float | None = 1e6):
        super().__init__()
        self._supports_tf_logs = True  # Keras 2 would read every log from the device for a callback that takes numbers
        if largest_loss is not None and not largest_loss > 0:
            raise InputError(f"The largest loss must be above 0, or None. Received largest_loss={largest_loss!r}.")
        self._images_of, self._largest = images_of, math.inf if largest_loss is None else largest_loss

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Remembers the epoch for the message, and the weights."""
        self._epoch, self._weights = epoch, self.model.get_weights()
        self._losses = BatchLosses(self.model)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Remembers the first batch of those that end together."""
        self._first = batch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Checks the loss of the batch, or the mean loss of the batches that have ended together."""
        losses = self._losses.next(logs or {})
        loss = losses.get("loss", 0.0)
        if self._is_sound(loss):
            return
        # What has no weight may be NaN because it was not measured, and is not to blame.
        has_attention = number_in(getattr(self.model, "alpha", 1.0)) > 0
        terms = [name for name in TERMS if has_attention or name != "attention_loss"]
        bad = [name for name in terms if not self._is_sound(losses.get(name, 0.0))]
        batches = range(self._first, batch + 1)
        which = f"batch {batch + 1}" if len(batches) == 1 else f"batches {self._first + 1} to {batch + 1}"
        where = f"epoch {self._epoch + 1}, {which} ({' and '.join(bad) or 'loss'})"
        known = self._images_of
        images = [] if known is None else [image for each in batches for image in known(self._epoch, each)]
        found = f"The loss became {loss:.6g} at {where}{f', with the images {listed(images)}' if images else ''}"
        limit = " If such losses are meant, raise largest_loss (training.largest_loss)." if math.isfinite(loss) else ""
        self._stop(found, limit)

    def _is_sound(self, loss: float) -> bool:
        return math.isfinite(loss) and abs(loss) <= self._largest

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Checks the weights."""
        if bad := weights_not_finite(self.model):
            self._stop(f"{len(bad)} weights became NaN or infinite in epoch {epoch + 1}, first {bad[0]}")

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Lets the weights go."""
        self._weights = []

    def _stop(self, found: str, also: str = "") -> None:
        self.model.set_weights(self._weights)
        raise InputError(
            f"{found}. The model has the weights from before this epoch again.{also} Lower the learning rate, clip "
            "gradients (clipnorm=1.0), or check the images and class weights for NaN."
        )
