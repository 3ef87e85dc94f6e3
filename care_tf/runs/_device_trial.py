"""One form of a training step, CARE's or plain Keras's, on one batch or on the batches of a sample."""

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from care_tf.callbacks.batch_losses import BatchLosses
from care_tf.runs import _peak_memory
from care_tf.runs._configured_model import build_network, compile_model, observed_network
from care_tf.runs._prepared_stage import PreparedStage, prepare_stages
from care_tf.runs._shared_images import SharedImages
from care_tf.runs._training_rows import TrainingRows
from care_tf.runs.config import RunConfig


class Trial:
    """A model, built, and traced with one step; `fit` runs more steps on the same batch.

    Args:
      config: With one stage.
      rows: The rows to train on, whose classes are counted.
      sample: The few of them that batches are made of.
      images: Where decoded images are kept.
      is_plain: Plain Keras's step of the same network, in place of CARE's.

    Attributes:
      stage: The stage, prepared.
      peak_bytes: Memory that building it and the first step took at most.
    """

    def __init__(
        self, config: RunConfig, rows: TrainingRows, sample: TrainingRows, images: SharedImages, is_plain: bool = False
    ):
        before = _peak_memory.memory_now()
        _peak_memory.start_peak()
        self.stage, self._model = _model(config, rows, is_plain)
        self._sample = sample
        batch = next(iter(self.batches(images)))
        self._batches = tf.data.Dataset.from_tensors(_plain_batch(*batch) if is_plain else batch).repeat()
        self.fit(1)
        self.peak_bytes = _peak_memory.peak_memory() - before

    @property
    def has_closed_form(self) -> bool:
        """Whether average pooling and a Dense layer follow the only map, so that CARE needs no inner tape."""
        return all(place.pooled_dense is not None for place in self.stage.model.anatomy.places)

    @property
    def takes_activations(self) -> bool:
        """Whether the frozen layers' activations take the images' place."""
        return self.stage.batches.lower is not None

    def batches(self, images: SharedImages) -> tf.data.Dataset:
        """Endless batches of the sample, as the stage would train on them."""
        return dataclasses.replace(self.stage.batches, rows=self._sample, images=images, order=None).training(0)

    def fit(self, num_steps: int) -> object:
        """Trains on the kept batch."""
        return self.fit_on(self._batches, num_steps)

    def fit_on(self, batches: tf.data.Dataset, num_steps: int, *callbacks: keras.callbacks.Callback) -> object:
        """Trains and reads every batch's loss, without a word about a sample that happens to have no box."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="CARE ")
            settings = {"steps_per_epoch": num_steps, "epochs": 1, "verbose": 0, "shuffle": False}
            return self._model.fit(batches, callbacks=[_LossReads(), *callbacks], **settings)


class _LossReads(keras.callbacks.Callback):
    """Reads every batch's loss, and so waits for the device, as a run does; random weights may make it NaN."""

    def __init__(self) -> None:
        super().__init__()
        self._supports_tf_logs = True  # as `FiniteLoss`

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._losses = BatchLosses(self.model)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._losses.next(logs or {})


def _model(config: RunConfig, rows: TrainingRows, is_plain: bool) -> tuple[PreparedStage, keras.Model]:
    classifier, _ = build_network(config, len(rows.train.class_names), rows.inputs)
    observed = observed_network(config, classifier)
    (stage,) = prepare_stages(config, rows, observed, SharedImages(None))
    for step in stage.begin:
        step()
    if not is_plain:
        return stage, stage.model
    network = stage.model.classifier
    compile_model(config, network, stage.settings, stage.model.loss, rows.train)
    return stage, network


def _plain_batch(x: Mapping[str, tf.Tensor], y: tf.Tensor) -> tuple:
    """What plain Keras takes of a batch: no masks, and no dictionary around a single input."""
    kept = {name: value for name, value in x.items() if name not in ("mask", "mask_class")}
    return (kept if len(kept) > 1 else next(iter(kept.values()))), y
