"""Progress of a run: one line per epoch with the time left, and a bar within the epoch on a terminal."""

import sys
import time
from collections.abc import Sequence
from typing import Any

import keras
import tqdm

from care_tf.runs._stage import Stage
from care_tf.time_left import as_duration, seconds_left

SHOWN = (
    "loss",
    "classification_loss",
    "attention_loss",
    "attention_inside",
    "mask_dice",
    "learned_masks",
    "embedding_loss",
    "embedding_spread",
    "mean_class_accuracy",
    "val_mean_class_accuracy",
)


class EpochLines(keras.callbacks.Callback):
    """Prints where the run stands after each epoch of stage `index`.

    The time left counts every remaining epoch of every stage at the median duration so far: it is the longest the run
    can take, for a stage that watches its loss may end early.
    """

    def __init__(self, stages: Sequence[Stage], index: int):
        super().__init__()
        self._supports_tf_logs = True  # Keras 2 would read the logs of every batch for it
        self._stage = stages[index]
        self._epochs_after = sum(stage.epochs for stage in stages[index + 1 :] if stage.reuse is None)
        self._seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._start = time.monotonic()
        self._bar = tqdm.tqdm(
            total=self.params["steps"],
            desc=f"{self._stage.name} {epoch + 1}/{self._stage.epochs}",
            unit="batch",
            leave=False,
            disable=not sys.stderr.isatty(),
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._bar.close()
        logs = logs or {}
        self._seconds.append(time.monotonic() - self._start)
        remaining = self._stage.epochs - epoch - 1 + self._epochs_after
        left = as_duration(seconds_left(self._seconds, remaining))
        shown = "  ".join(f"{name} {float(logs[name]):.4f}" for name in SHOWN if name in logs)
        print(
            f"{self._stage.name} {epoch + 1}/{self._stage.epochs}  {shown}  {self._seconds[-1]:.0f} s, "
            f"at most {left} left",
            flush=True,
        )
