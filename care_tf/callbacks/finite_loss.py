"""Stops a run whose loss is no longer a number."""

import math
from typing import Any

import keras

from care_tf.errors import InputError


class FiniteLoss(keras.callbacks.Callback):
    """Raises at the first batch whose running loss is NaN or infinite, before worthless weights are saved.

    Raises:
      InputError: The loss is not finite; names epoch, batch and which of the terms it was.
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
        raise InputError(
            f"The loss became {loss} at epoch {self._epoch}, batch {batch} ({' and '.join(bad) or 'loss'}). "
            "Lower the learning rate, clip gradients (clipnorm=1.0), or check the images and class weights for NaN."
        )
