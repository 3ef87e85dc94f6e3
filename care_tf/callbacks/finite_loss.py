"""Stops a run whose loss or weights are no longer numbers."""

import math
from typing import Any

import keras

from care_tf.errors import InputError
from care_tf.network.finite_weights import weights_not_finite


class FiniteLoss(keras.callbacks.Callback):
    """Raises at the first batch whose running loss is NaN or infinite, and at an epoch's end where a weight is.

    Give it before callbacks that save the model: these then keep the last good weights.

    Raises:
      InputError: The loss is not finite; names epoch and batch, both from 1, and which of the terms it was.
        Or the weights are not, which the loss need not show; names the epoch and the first of them.
    """

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Remembers the epoch for the message."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Checks the running means, which stay NaN once a batch was."""
        logs = logs or {}
        loss = float(logs.get("loss", 0.0))
        if math.isfinite(loss):
            return
        terms = ("classification_loss", "attention_loss")
        bad = [name for name in terms if not math.isfinite(float(logs.get(name, 0.0)))]
        where = f"epoch {self._epoch + 1}, batch {batch + 1} ({' and '.join(bad) or 'loss'})"
        raise _error(f"The loss became {loss} at {where}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Checks the weights."""
        if bad := weights_not_finite(self.model):
            raise _error(f"{len(bad)} weights became NaN or infinite in epoch {epoch + 1}, first {bad[0]}")


def _error(found: str) -> InputError:
    return InputError(
        f"{found}. Lower the learning rate, clip gradients (clipnorm=1.0), or check the images and class weights for "
        "NaN."
    )
