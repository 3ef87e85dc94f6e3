"""Trains segmentation networks on images with lesion masks: one on a disjoint set, or several, cross-fitted."""

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from care_tf.backbones.keras_hub_networks import HUB_PREFIX
from care_tf.boxes.segmentation._deeplab import build_segmentation_network, chosen_backbone
from care_tf.boxes.segmentation._mask_batches import segmentation_batches
from care_tf.boxes.segmentation.cross_fitting import TrainedModel, count_groups, deal_groups, write_record
from care_tf.csv_files import write_table
from care_tf.data.image_identity import image_identities
from care_tf.data.manifest import Manifest
from care_tf.errors import InputError
from care_tf.files import atomic_path, file_sha256, path_sha256, sole_work
from care_tf.images.decoding import corrupt_files_refused
from care_tf.interrupts import interrupt_held
from care_tf.keras_generation import build_optimizer, learning_rate
from care_tf.losses.dice import DiceLoss
from care_tf.text_files import read_text
from care_tf.time_left import as_duration, seconds_left

_LEARNING_RATE_FACTOR = 0.3
_PLATEAU_EPOCHS = 2


@dataclasses.dataclass(frozen=True)
class SegmentationSettings:
    """How the networks are trained.

    Args:
      image_size_px: Height and width.
      architecture, backbone, encoder_weights: As for `build_segmentation_network`.
      num_folds: Networks, each trained without one fold of the groups; 1 trains one network on everything, for
        images of another set.
      validation_fraction: Share of a network's images that decide when it stops, rounded to 1/2, 1/3, 1/4, ...; by
        groups.
      max_images_per_class: At most so many images of each class, drawn under the seed; None takes all.
      batch_size: Images per step.
      max_epochs: Of each network.
      patience_epochs: Training stops after so many epochs without a better validation loss; the best is kept.
      initial_learning_rate: Of Adam; falls to 0.3 of itself after 2 epochs without a better validation loss.
      seed: Of folds, draws, initial weights, order and augmentation.

    Raises:
      InputError: A value is out of range.
    """

    image_size_px: tuple[int, int] = (192, 256)
    architecture: str = "deeplab_v3_plus"
    backbone: str | None = None
    encoder_weights: str | None = None
    num_folds: int = 2
    validation_fraction: float = 0.1
    max_images_per_class: int | None = None
    batch_size: int = 16
    max_epochs: int = 60
    patience_epochs: int = 6
    initial_learning_rate: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        backbone = chosen_backbone(self.architecture, self.backbone, self.encoder_weights)
        object.__setattr__(self, "backbone", backbone)
        for name in ("num_folds", "batch_size", "max_epochs", "patience_epochs", "max_images_per_class"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1. Received {value}.")
        if not 0 < self.validation_fraction <= 0.5:
            raise InputError(f"validation_fraction must be in (0, 0.5]. Received {self.validation_fraction}.")
        if not self.initial_learning_rate > 0:
            raise InputError(f"initial_learning_rate must be > 0. Received {self.initial_learning_rate}.")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed must lie in [0, 2^32). Received {self.seed}.")


@corrupt_files_refused()
def train_segmentation(
    manifest: Manifest, folder: str | os.PathLike, settings: SegmentationSettings, *, show_progress: bool = True
) -> list[TrainedModel]:
    """Trains the networks; a network that an interrupted run finished is not trained again.

    Args:
      manifest: The images; those with a mask file are used.
      folder: For the models, their histories and the record of what each saw.
      settings: How.
      show_progress: Prints a line for every epoch, with the longest time that is left.

    Returns:
      The models, as the record has them.

    Raises:
      InputError: Too few images with masks or groups, settings that do not fit, an image or mask that cannot be
        decoded, a folder of other training, or one in which another process trains.

    Source: Zhuang et al. 2023, section 4.4: DeepLabV3, Dice loss. Deviations: those of
      `build_segmentation_network`; early stopping on held-out groups; cross-fitting.
    """
    folder = Path(folder)
    manifest = _drawn(manifest.subset(np.array(manifest.mask_paths, str) != ""), settings)
    identities = [image_identities(*pair) for pair in zip(manifest.image_paths, manifest.groups, strict=True)]
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, and the networks need a folder; choose another output.")
    with sole_work(folder):
        _claim(folder, manifest, identities, settings)
        folds = np.zeros(len(manifest), np.int64)
        if settings.num_folds > 1:
            folds = deal_groups(manifest.groups, settings.num_folds, settings.seed)
        models = []
        for number in range(1, settings.num_folds + 1):
            path = folder / f"model_{number}.keras"
            is_seen = folds != number
            if show_progress:
                print(f"network {number} of {settings.num_folds}: {is_seen.sum()} images", flush=True)
            if not path.exists():
                # Layers' names begin anew: a network's last bits depend on them, hence on what was built before.
                keras.backend.clear_session()
                progress = [_EpochLine(settings, number)] if show_progress else []
                _train_network(manifest.subset(is_seen), path, settings, number, progress)
            saw = frozenset().union(*(identities[i] for i in np.flatnonzero(is_seen)))
            models.append(TrainedModel(path.name, saw, file_sha256(path)))
        write_record(folder, models, {**dataclasses.asdict(settings), "max_pixel_value": manifest.max_pixel_value})
        return models


def _drawn(manifest: Manifest, settings: SegmentationSettings) -> Manifest:
    """At most the wanted number of images of each class."""
    for name, count in manifest.class_counts.items():
        if settings.max_images_per_class is not None and count > settings.max_images_per_class:
            manifest = manifest.cap_class(name, settings.max_images_per_class, settings.seed)
    num_groups = count_groups(manifest.groups)
    if num_groups < 2 * settings.num_folds + 2:
        raise InputError(
            f"{manifest.source} has masks of {num_groups} groups (patients or lesions); training {settings.num_folds} "
            f"networks needs at least {2 * settings.num_folds + 2}. Boxes alone are no outline to learn from."
        )
    return manifest


def _claim(
    folder: Path, manifest: Manifest, identities: Sequence[frozenset[str]], settings: SegmentationSettings
) -> None:
    """Writes the training's fingerprint into a new folder; refuses a folder of another training.

    The files' content counts, not their names only: a finished network is kept, and the record must tell what it saw.
    """
    masks = [file_sha256(path) for path in manifest.mask_paths]
    images = [sorted(each) for each in identities]

    def fingerprint_of(settings: SegmentationSettings) -> str:
        description = json.dumps([manifest.fingerprint(), images, masks, dataclasses.asdict(settings)])
        return hashlib.sha256(description.encode()).hexdigest()

    weights, by_name = settings.encoder_weights, fingerprint_of(settings)  # what earlier folders have
    if weights not in (None, "imagenet") and os.path.exists(weights):
        settings = dataclasses.replace(settings, encoder_weights=path_sha256(weights))
    preset = settings.architecture.removeprefix(HUB_PREFIX)
    if preset != settings.architecture and os.path.exists(preset):
        settings = dataclasses.replace(settings, architecture=HUB_PREFIX + path_sha256(preset))
    fingerprint = fingerprint_of(settings)
    path = folder / "fingerprint.txt"
    # Without a finished network there is nothing to mix: settings that were refused may be corrected in place.
    is_other = path.exists() and read_text(path).strip() not in (fingerprint, by_name)
    if is_other and any(folder.glob("model_*.keras")):
        raise InputError(f"{folder} holds networks of other images or settings; choose another output.")
    if not path.exists() and any(not inside.name.startswith(".") for inside in folder.iterdir()):
        raise InputError(f"{folder} exists and is no segmentation training; choose another output.")
    with atomic_path(path, durable=True) as temporary:
        temporary.write_text(fingerprint + "\n")


def _train_network(
    manifest: Manifest,
    path: Path,
    settings: SegmentationSettings,
    number: int,
    progress: Sequence[keras.callbacks.Callback],
) -> None:
    num_folds = min(max(2, round(1 / settings.validation_fraction)), count_groups(manifest.groups))
    folds = deal_groups(manifest.groups, num_folds, settings.seed + number)
    train, validation = manifest.subset(folds != 1), manifest.subset(folds == 1)
    network = build_segmentation_network(
        settings.image_size_px,
        architecture=settings.architecture,
        backbone=settings.backbone,
        encoder_weights=settings.encoder_weights,
        seed=settings.seed + number,
    )
    network.compile(keras.optimizers.Adam(settings.initial_learning_rate), DiceLoss())
    build_optimizer(network)
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=settings.patience_epochs, restore_best_weights=True)
    slowing = keras.callbacks.ReduceLROnPlateau("val_loss", _LEARNING_RATE_FACTOR, _PLATEAU_EPOCHS)
    size, batch_size = settings.image_size_px, settings.batch_size
    history = network.fit(
        segmentation_batches(train, size, batch_size, seed=settings.seed + number),
        validation_data=segmentation_batches(validation, size, batch_size),
        epochs=settings.max_epochs,
        shuffle=False,  # the batches are
        callbacks=[slowing, stopping, *progress],
        verbose=0,
    )
    if stopping.best_weights is not None:  # Keras 2 restores them only where it stopped early
        network.set_weights(stopping.best_weights)
    rows = enumerate(zip(*history.history.values(), strict=True))
    table = [["epoch", *history.history], *([epoch, *map(float, values)] for epoch, values in rows)]
    write_table(path.with_suffix(".csv"), table)
    with interrupt_held(), atomic_path(path, durable=True) as temporary:
        network.save(temporary)


class _EpochLine(keras.callbacks.Callback):
    """One line per epoch; the time left counts all epochs that this and later networks may still take."""

    def __init__(self, settings: SegmentationSettings, number: int) -> None:
        super().__init__()
        self._epochs_of_all = (settings.num_folds - number + 1) * settings.max_epochs
        self._max_epochs = settings.max_epochs
        self._seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        self._seconds.append(time.monotonic() - self._start)
        left = as_duration(seconds_left(self._seconds, self._epochs_of_all - epoch - 1))
        print(
            f"epoch {epoch + 1}/{self._max_epochs}  Dice loss {logs['loss']:.4f}  "
            f"validation {logs['val_loss']:.4f}  learning rate {learning_rate(self.model.optimizer):.2g}  "
            f"{self._seconds[-1]:.0f} s, at most {left} left",
            flush=True,
        )
