"""Stops a run whose loss explodes, or whose weights are no longer numbers, with the weights that it had before."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from care_tf.errors import InputError
from care_tf.keras_generation import number_in
from care_tf.network.finite_weights import weights_not_finite
from care_tf.problems import listed


class FiniteLoss(keras.callbacks.Callback):
    """Raises at the first batch whose running loss is NaN or too large, or at an epoch's end where a weight is NaN.

    The model then has the weights again that it had when the epoch began. Give it before callbacks that save the model:
    these then keep the last good weights.

    Args:
      images_of: (epoch, batch), both from 0 -> what the batch held, for the message; None where nobody knows.
      most: The largest size of a running loss, > 0. The default is far beyond what training comes back from: a network
        that gives each true class a probability of e^-1000 has a cross entropy of 1000.

    Raises:
      InputError: The loss is not a number, or larger than that; names epoch and batch, both from 1, which of the terms
        it was, and the images of the batch. Or weights are not finite, which the loss need not show; names the epoch
        and the first of them. Or `most` is not above 0.
    """

    def __init__(self, images_of: Callable[[int, int], Sequence[str]] | None = None, most: float = 1e6):
        super().__init__()
        if not most > 0:
            raise InputError(f"The largest loss must be above 0. Received most={most!r}.")
        self._images_of, self._most = images_of, most

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Remembers the epoch for the message, and the weights."""
        self._epoch, self._weights = epoch, self.model.get_weights()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Checks the running means, which stay NaN once a batch was."""
        logs = logs or {}
        loss = float(logs.get("loss", 0.0))
        if self._is_sound(loss):
            return
        # What has no weight may be NaN because it was not measured, and is not to blame.
        has_attention = number_in(getattr(self.model, "alpha", 1.0)) > 0
        own = ("attention_loss",) if has_attention else ()
        terms = ("classification_loss", *own, "mask_loss", "embedding_loss")
        bad = [name for name in terms if not self._is_sound(float(logs.get(name, 0.0)))]
        where = f"epoch {self._epoch + 1}, batch {batch + 1} ({' and '.join(bad) or 'loss'})"
        images = list(self._images_of(self._epoch, batch)) if self._images_of is not None else []
        self._stop(f"The loss became {loss:.6g} at {where}{f', with the images {listed(images)}' if images else ''}")

    def _is_sound(self, loss: float) -> bool:
        return abs(loss) <= self._most  # of a NaN, too, this is not true

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Checks the weights."""
        if bad := weights_not_finite(self.model):
            self._stop(f"{len(bad)} weights became NaN or infinite in epoch {epoch + 1}, first {bad[0]}")

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Lets the weights go."""
        self._weights = []

    def _stop(self, found: str) -> None:
        self.model.set_weights(self._weights)
        raise InputError(
            f"{found}. The model has the weights from before this epoch again. Lower the learning rate, clip gradients "
            "(clipnorm=1.0), or check the images and class weights for NaN."
        )
