"""Trains the stages of a prepared run in order, resumable at every epoch."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from care_tf import keras_generation
from care_tf.callbacks.finite_loss import FiniteLoss
from care_tf.callbacks.two_stage_schedule import ramped_alpha
from care_tf.errors import InputError
from care_tf.files import atomic_path
from care_tf.interrupts import interrupt_held
from care_tf.network.random_layers import set_random_layers
from care_tf.runs._epoch_lines import EpochLines
from care_tf.runs._prepared_stage import PreparedStage
from care_tf.runs._progress import Progress, Row, epoch_weights, load_checkpoint, stage_weights, take_over
from care_tf.runs._stage import Stage
from care_tf.runs._start_weights import load_start_weights
from care_tf.runs._weights_file import save_weights


def train_stages(
    classifier: keras.Model,
    stages: list[PreparedStage],
    folder: Path,
    progress: Progress,
    seed: int = 0,
    show_progress: bool = False,
    monitor: Callable[[PreparedStage, list[Row]], list[keras.callbacks.Callback]] = lambda stage, rows: [],
    own_callbacks: Callable[[Mapping[str, Any]], list[keras.callbacks.Callback]] = lambda offered: [],
    largest_loss: float | None = None,
) -> None:
    """Trains what is left of a run; each stage starts from the weights of the one before, or from those that it names.

    The progress is written after every epoch; a run that is started again continues after its last finished one.

    Args:
      classifier: The run's network, with its initial weights.
      stages: All of them, finished ones included. The list is emptied, so that a stage that is over is let go with the
        state of its optimizer.
      folder: Run folder.
      progress: Where the run stands; brought up to date.
      seed: Of dropout and other random layers, >= 0; each epoch of each stage draws from its own.
      show_progress: Prints one line per epoch with the time left.
      monitor: Makes the callbacks that log a stage, from it and the rows of all epochs before it.
      own_callbacks: Makes a stage's further callbacks from `CALLBACK_ARGUMENTS`.
      largest_loss: As of `FiniteLoss`.

    Raises:
      InputError: A reused stage does not match, the weights to start from do not exist or belong to another network,
        or a loss is NaN, or too large.
    """
    initial = classifier.get_weights()
    settings = [stage.settings for stage in stages]
    for index in range(len(settings)):
        stage = stages.pop(0)
        weights = stage_weights(folder, index, stage.settings)
        if index < progress.stage:
            load_checkpoint(classifier, weights)
            continue
        if stage.settings.reuse is not None:
            # Rows of its own are those of an interrupted attempt to train what is now taken over.
            own = [row for row in progress.rows if row["stage"] != stage.settings.name]
            progress.rows = own + take_over(stage.settings, index, progress.fingerprints[index], weights)
            load_checkpoint(classifier, weights)
        else:
            load_start_weights(classifier, settings, index, folder, initial)
            finite = FiniteLoss(stage.batches.images_of, largest_loss)
            callbacks = [finite, _Epochs(stage.settings, index, folder, progress, seed)]
            if show_progress:
                callbacks.append(EpochLines(settings, index))
            first_epoch = sum(row["stage"] != stage.settings.name for row in progress.rows)
            offered = {"folder": str(folder), "stage": stage.settings.name, "first_epoch": first_epoch}
            callbacks += [*monitor(stage, progress.rows), *own_callbacks(offered)]
            _train_stage(stage, progress, folder, callbacks)
            with interrupt_held(), atomic_path(weights, durable=True) as temporary:
                save_weights(classifier, temporary)
        progress.begin_next_stage()
        progress.write(folder)
    progress.write_history(folder)  # which a kill after the last write would have left short


def _train_stage(
    stage: PreparedStage, progress: Progress, folder: Path, callbacks: list[keras.callbacks.Callback]
) -> None:
    for step in stage.begin:
        step()
    if progress.epoch:
        keras_generation.build_optimizer(stage.model)
        load_checkpoint(stage.model, epoch_weights(folder, progress))
    if not progress.ends(stage.settings):
        stage.model.fit(
            stage.batches.training(progress.epoch),
            initial_epoch=progress.epoch,
            epochs=stage.settings.epochs,
            steps_per_epoch=stage.batches.steps_per_epoch,
            validation_data=stage.batches.validation(),
            validation_steps=stage.batches.validation_steps,
            shuffle=False,  # the dataset shuffles itself, reproducibly
            callbacks=callbacks,
            verbose=0,
        )
    for step in stage.finish:
        step()


class _Epochs(keras.callbacks.Callback):
    """Sets alpha, ends the stage, and keeps the run resumable."""

    def __init__(self, stage: Stage, index: int, folder: Path, progress: Progress, seed: int):
        super().__init__()
        self.stage, self.index, self.folder, self.progress, self.seed = stage, index, folder, progress, seed

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.model.alpha = ramped_alpha(self.stage.alpha, epoch, self.stage.ramp_epochs)
        set_random_layers(self.model, self.seed, self.index, epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs, progress = logs or {}, self.progress
        if self.stage.monitor not in logs:
            raise InputError(
                f"Stage {self.stage.name!r}: monitor={self.stage.monitor!r} needs images with boxes. Received none in "
                f"epoch {epoch + 1}. Available: {', '.join(logs)}."
            )
        progress.epoch = epoch + 1
        progress.plateau = progress.plateau.after(float(logs[self.stage.monitor]), self.stage.min_delta)
        row = {"stage": self.stage.name, "epoch": epoch + 1, "alpha": keras_generation.number_in(self.model.alpha)}
        row["learning_rate"] = keras_generation.learning_rate(self.model.optimizer)
        progress.rows.append(row | {name: float(value) for name, value in logs.items()})
        progress.write(self.folder, self.model)
        if progress.ends(self.stage):
            self.model.stop_training = True
