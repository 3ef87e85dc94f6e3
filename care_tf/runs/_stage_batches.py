"""The batches that a stage trains and validates on: images, or the activations of frozen layers in their place."""

import dataclasses
import functools
from typing import Any

import keras
import tensorflow as tf

from care_tf.backbones import get_backbone
from care_tf.data.activation_cache import (
    ActivationCache,
    Signs,
    activation_evaluation_dataset,
    activation_training_dataset,
    flips_of,
)
from care_tf.data.augmentation import Augmentation
from care_tf.data.epochs import EpochOrder, epoch_order
from care_tf.data.manifest import Manifest
from care_tf.data.pipeline import evaluation_dataset, steps_per_epoch, training_dataset
from care_tf.data.replica_share import ReplicaShare
from care_tf.replicas import number_of_replicas
from care_tf.runs._shared_images import SharedImages
from care_tf.runs._training_rows import TrainingRows
from care_tf.runs.config import RunConfig
from care_tf.runs.distribution import batches_for_replicas


@dataclasses.dataclass(frozen=True)
class StageBatches:
    """Batches of a stage.

    Attributes:
      config: The run.
      rows: The rows to train and validate on.
      images: Where decoded images and activations are kept.
      seed: Of order and augmentation.
      augmentation: None changes no image.
      order: How an epoch's images are drawn; None for a permutation of all.
      lower: The frozen layers, preprocessed images -> activations, which stand in for the images; computed with the
        weights at the time the batches are requested. None for images.
    """

    config: RunConfig
    rows: TrainingRows
    images: SharedImages
    seed: int
    augmentation: Augmentation | None
    order: EpochOrder | None
    lower: keras.Model | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Batches per epoch."""
        return steps_per_epoch(self.rows.train, self.config.training.batch_size, self.order)

    @property
    def validation_steps(self) -> int | None:
        """Batches of validation, where replicas share them and Keras 2 cannot count them; None where Keras does."""
        if self.rows.validation is None or number_of_replicas() == 1:
            return None
        return steps_per_epoch(self.rows.validation, self.config.training.batch_size)

    def training(self, first_epoch: int) -> tf.data.Dataset:
        """Endless batches of the epochs from `first_epoch` on, the same for every run with the same seed."""
        return batches_for_replicas(functools.partial(self._training, first_epoch))

    def validation(self) -> tf.data.Dataset | None:
        """Every validation image once; None without validation rows."""
        return None if self.rows.validation is None else batches_for_replicas(self._validation)

    def unchanged(self, rows: Manifest) -> tf.data.Dataset:
        """Every image of some rows once, in order, without augmentation, in whole batches on every device."""
        return evaluation_dataset(rows, **self._sizes, inputs=self.rows.inputs, **self._decoded(rows))

    def images_of(self, epoch: int, batch: int) -> list[str]:
        """The files that a training batch holds; epoch and batch count from 0."""
        size = self.config.training.batch_size
        order = (self.order or epoch_order)(len(self.rows.train), self.seed, tf.constant(epoch, tf.int64))
        return [self.rows.train.image_paths[int(row)] for row in order[batch * size : (batch + 1) * size]]

    def _training(self, first_epoch: int, share: ReplicaShare | None) -> tf.data.Dataset:
        rows = self.rows.train
        drawn: dict[str, Any] = dict(seed=self.seed, augmentation=self.augmentation, order=self.order)
        drawn |= dict(inputs=self.rows.inputs, share=share)
        if self.lower is None:
            return training_dataset(rows, **self._sizes, first_epoch=first_epoch, **drawn, **self._decoded(rows))
        activations = self._activations(rows, self.lower, flips_of(self.augmentation))
        return activation_training_dataset(rows, activations, **self._sizes, first_epoch=first_epoch, **drawn)

    def _validation(self, share: ReplicaShare | None) -> tf.data.Dataset:
        rows = self.rows.validation
        assert rows is not None
        further: dict[str, Any] = dict(masks=bool(rows.has_boxes.any()), inputs=self.rows.inputs, share=share)
        if self.lower is None:
            return evaluation_dataset(rows, **self._sizes, **further, **self._decoded(rows))
        activations = self._activations(rows, self.lower, flips_of(None))
        return activation_evaluation_dataset(rows, activations, **self._sizes, **further)

    @property
    def _sizes(self) -> dict[str, Any]:
        return {"image_size": self.config.data.image_size_px, "batch_size": self.config.training.batch_size}

    def _decoded(self, rows: Manifest) -> dict[str, Any]:
        preprocess = get_backbone(self.config.model.backbone).preprocess
        return {"preprocess": preprocess, "cache": self.images.loader(rows, self.config.data.image_size_px)}

    def _activations(self, rows: Manifest, lower: keras.Model, signs: tuple[Signs, ...]) -> ActivationCache:
        name = self.config.model.backbone
        preprocess = get_backbone(name).preprocess
        return self.images.activations(rows, self.config.data.image_size_px, lower, preprocess, name, signs)
