"""The batches that a stage trains and validates on: images, or the activations of frozen layers in their place."""

import dataclasses
from typing import Any

import keras
import tensorflow as tf

from care_tf.data.activation_cache import (
    ActivationCache,
    Signs,
    activation_evaluation_dataset,
    activation_training_dataset,
    flips_of,
)
from care_tf.data.augmentation import Augmentation
from care_tf.data.epochs import EpochOrder
from care_tf.data.manifest import Manifest
from care_tf.data.pipeline import evaluation_dataset, steps_per_epoch, training_dataset
from care_tf.runs._configured_model import preprocess_function
from care_tf.runs._shared_images import SharedImages
from care_tf.runs._training_rows import TrainingRows
from care_tf.runs.config import RunConfig


@dataclasses.dataclass(frozen=True)
class ImageBatches:
    """Batches of images.

    Attributes:
      config: The run.
      rows: The rows to train and validate on.
      images: Where decoded images and activations are kept.
      seed: Of order and augmentation.
      augmentation: None changes no image.
      order: How an epoch's images are drawn; None for a permutation of all.
    """

    config: RunConfig
    rows: TrainingRows
    images: SharedImages
    seed: int
    augmentation: Augmentation | None
    order: EpochOrder | None

    @property
    def steps_per_epoch(self) -> int:
        """Batches per epoch."""
        return steps_per_epoch(self.rows.train, self._batch_size, self.order)

    def training(self, first_epoch: int) -> tf.data.Dataset:
        """Endless batches of the epochs from `first_epoch` on, the same for every run with the same seed."""
        return training_dataset(
            self.rows.train,
            self._image_size,
            self._batch_size,
            seed=self.seed,
            augmentation=self.augmentation,
            preprocess=preprocess_function(self.config),
            masks=True,
            cache=self.images.loader(self.rows.train, self._image_size),
            first_epoch=first_epoch,
            order=self.order,
        )

    def validation(self) -> tf.data.Dataset | None:
        """Every validation image once; None without validation rows."""
        rows = self.rows.validation
        return None if rows is None else self.unchanged(rows, masks=bool(rows.has_boxes.any()))

    def unchanged(self, rows: Manifest, masks: bool = False) -> tf.data.Dataset:
        """Every image of some rows once, in order, without augmentation."""
        return evaluation_dataset(
            rows,
            self._image_size,
            self._batch_size,
            preprocess=preprocess_function(self.config),
            masks=masks,
            cache=self.images.loader(rows, self._image_size),
        )

    @property
    def _image_size(self) -> tuple[int, int]:
        return self.config.data.image_size_px

    @property
    def _batch_size(self) -> int:
        return self.config.training.batch_size


@dataclasses.dataclass(frozen=True)
class ActivationBatches(ImageBatches):
    """Batches of what the frozen layers give, computed with the weights at the time the batches are requested.

    Attributes:
      lower: The frozen layers: preprocessed images -> activations.
    """

    lower: keras.Model

    def training(self, first_epoch: int) -> tf.data.Dataset:
        """As of `ImageBatches`, with activations in place of the images."""
        return activation_training_dataset(
            self.rows.train,
            self._activations(self.rows.train, flips_of(self.augmentation)),
            self._image_size,
            self._batch_size,
            seed=self.seed,
            augmentation=self.augmentation,
            first_epoch=first_epoch,
            order=self.order,
        )

    def validation(self) -> tf.data.Dataset | None:
        """As of `ImageBatches`, with activations in place of the images."""
        rows = self.rows.validation
        if rows is None:
            return None
        activations = self._activations(rows, flips_of(None))
        masks = bool(rows.has_boxes.any())
        return activation_evaluation_dataset(rows, activations, self._image_size, self._batch_size, masks=masks)

    def _activations(self, rows: Manifest, signs: tuple[Signs, ...]) -> ActivationCache:
        preprocess: Any = preprocess_function(self.config)
        name = self.config.model.backbone
        return self.images.activations(rows, self._image_size, self.lower, preprocess, name, signs)
