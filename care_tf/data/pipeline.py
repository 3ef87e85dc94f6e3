"""From a manifest to batches: index based, so that the shuffle is perfect and no image is held in memory."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from care_tf.data._mask_source import mask_loader
from care_tf.data.augmentation import Augmentation, augment_batch, augmented_classes
from care_tf.data.epochs import EpochOrder, check_order, epoch_batches, epoch_order, num_drawn
from care_tf.data.image_source import Cache, ImageLoader, image_loader
from care_tf.data.input_encoding import InputEncoding, encoded_inputs
from care_tf.data.manifest import Manifest
from care_tf.data.replica_share import ReplicaShare, loaded_batches
from care_tf.errors import InputError

Preprocess: TypeAlias = Callable[[tf.Tensor], tf.Tensor]


def steps_per_epoch(manifest: Manifest, batch_size: int, order: EpochOrder | None = None) -> int:
    """Number of batches of one epoch in that order; the last may be smaller than the others."""
    return math.ceil(num_drawn(len(manifest), order) / batch_size)


def epoch_indices(
    num_images: int,
    batch_size: int,
    *,
    seed: int,
    first_epoch: int | None = None,
    order: EpochOrder | None = None,
    share: ReplicaShare | None = None,
) -> tf.data.Dataset:
    """Which images each batch of `training_dataset` holds, and the seeds they are augmented with.

    Args: as in `training_dataset`.

    Returns:
      Batches `(index, seeds)`: int64 (B,), positions in the manifest, and int64 (B,2), what `augment_batch` and
      `flip_signs` take.

    Raises:
      InputError: The order does not fit `num_images`, `batch_size` or `first_epoch`.
    """
    batches = epoch_batches(lambda index: index, num_images, batch_size, seed, first_epoch, order or epoch_order, share)
    return _deterministic(batches)


def training_dataset(
    manifest: Manifest,
    image_size: tuple[int, int],
    batch_size: int,
    *,
    seed: int,
    augmentation: Augmentation | None = None,
    preprocess: Preprocess | None = None,
    masks: bool = True,
    one_hot: bool = False,
    cache: Cache = None,
    first_epoch: int | None = None,
    shuffle: bool = True,
    order: EpochOrder | None = None,
    inputs: Sequence[InputEncoding] = (),
    share: ReplicaShare | None = None,
) -> tf.data.Dataset:
    """Shuffled, augmented batches for training, in a reproducible order.

    An image that an epoch draws more than once is augmented anew each time.

    With `first_epoch=None` one iteration is one epoch and every iteration is a fresh one: what `fit(epochs=...)`
    expects; TensorFlow's global seed, if set, counts besides `seed`. With a number the stream is endless and starts at
    that epoch (use `steps_per_epoch`): epoch e is the same whatever epoch the stream started at, so an interrupted
    run continues as if it had not been.

    Args:
      manifest: The training images, at least one of every class.
      image_size: Height and width, px; the manifest's `resize` says how images of other proportions get it, and its
        `outside_boxes` what becomes of what lies outside their boxes, before any augmentation.
      batch_size: Images per batch; the last batch of an epoch may be smaller.
      seed: Of order and augmentation.
      augmentation: None changes no image.
      preprocess: Applied last, to the batch: float32 RGB 0..255 (B,H,W,3) -> what the classifier takes.
      masks: Whether x is `{"image", "mask"}` or the bare image.
      one_hot: Labels float32 (B,C) rather than int32 (B,).
      cache: Where decoded images are kept: None (nowhere), "memory", a folder, or an `image_loader` made before.
      first_epoch: None, or the number of the first epoch of an endless stream.
      shuffle: False keeps the manifest's order in every epoch.
      order: The order of an epoch, (n, seed, epoch) -> int64 indices; replaces `epoch_order`. Every epoch must have
        the same length; an index may occur more than once. `get_sampling` makes some.
      inputs: Of the manifest's further columns, those that the network takes, encoded as `fit_input_encodings` says.
      share: The replicas that the data set is for, where several devices share its batches: a batch of its own for
        each in turn. None gives whole batches.

    Returns:
      Batches `({"image": (B,H,W,3), "mask": (B,H,W,1)}, labels)`, float32; an all-zero mask means no box. Each further
      input is one more key, (B,width). The data set's attribute `class_names` is the manifest's, as with Keras's own;
      `CAREModel` refuses to be evaluated with another list.

    Raises:
      InputError: The manifest has fewer than two classes or a class without images, an argument is out of range, the
        order does not fit the others, the augmentation names a class the manifest does not have, or a further input
        cannot be encoded.
    """
    _check_arguments(manifest, image_size, batch_size)
    _check_trainable(manifest)
    order = order or (epoch_order if shuffle else _manifest_order)
    check_order(order, len(manifest), batch_size, first_epoch)
    is_augmented = None if augmentation is None else augmented_classes(manifest.class_names, augmentation)
    load = example_loader(manifest, image_size, masks=masks, cache=cache, inputs=inputs)

    def finish(batch: dict[str, Any], seeds: tf.Tensor) -> tuple:
        if augmentation is not None:
            chosen = None if is_augmented is None else tf.gather(is_augmented, batch["label"])
            image, mask = augment_batch(batch["image"], batch.get("mask"), seeds, augmentation, chosen)
            batch = {**batch, "image": image, **({} if mask is None else {"mask": mask})}
        return _as_keras_batch(batch, preprocess, len(manifest.class_names) if one_hot else None)

    batches = epoch_batches(load, len(manifest), batch_size, seed, first_epoch, order, share)
    return _deterministic(batches.map(finish, tf.data.AUTOTUNE), manifest)


def evaluation_dataset(
    manifest: Manifest,
    image_size: tuple[int, int],
    batch_size: int,
    *,
    preprocess: Preprocess | None = None,
    masks: bool = False,
    one_hot: bool = False,
    cache: Cache = None,
    inputs: Sequence[InputEncoding] = (),
    share: ReplicaShare | None = None,
) -> tf.data.Dataset:
    """Every image once, in the manifest's order, unchanged.

    Args: as in `training_dataset`.

    Returns:
      Batches `(images, labels)`, or with masks or further inputs `({"image", "mask", ...}, labels)`.

    Raises:
      InputError: The manifest is empty, an argument is out of range, or a further input cannot be encoded.
    """
    _check_arguments(manifest, image_size, batch_size)
    load = example_loader(manifest, image_size, masks=masks, cache=cache, inputs=inputs)
    num_classes = len(manifest.class_names) if one_hot else None
    indices = tf.range(len(manifest), dtype=tf.int64)
    examples = loaded_batches(indices, len(manifest), batch_size, load, share)
    return _deterministic(examples.map(lambda batch: _as_keras_batch(batch, preprocess, num_classes)), manifest)


def load_masks(manifest: Manifest, image_size: tuple[int, int], original_sizes: np.ndarray) -> np.ndarray:
    """The masks of all images, as the datasets have them before augmentation.

    Args:
      manifest: n images, with or without boxes.
      image_size: Height and width of the masks, px.
      original_sizes: int (n,2), the images' own heights and widths, px.

    Returns:
      float32 (n,H,W,1) in {0, 1}.
    """
    masks = np.empty((len(manifest), *image_size, 1), np.float32)
    if len(manifest):
        sizes = tf.data.Dataset.from_tensor_slices(np.asarray(original_sizes, np.int32)).enumerate()
        loaded = sizes.map(mask_loader(manifest, image_size), tf.data.AUTOTUNE)
        for i, mask in enumerate(loaded.as_numpy_iterator()):
            masks[i] = mask
    return masks


def example_loader(
    manifest: Manifest,
    image_size: tuple[int, int],
    *,
    masks: bool,
    cache: Cache = None,
    inputs: Sequence[InputEncoding] = (),
) -> Callable[[tf.Tensor], dict[str, Any]]:
    """The function that loads one example by its index: what every dataset here maps over its indices.

    Args:
      manifest: The images.
      image_size: Height and width, px.
      masks: Whether the example has its mask.
      cache, inputs: As in `training_dataset`.

    Returns:
      int64 scalar -> {"image": float32 (H,W,3) RGB 0..255, "label": int32 scalar, "inputs": {name: float32 (width,)}[,
      "mask": float32 (H,W,1)]}.
    """
    load_image: ImageLoader = image_loader(manifest, image_size, cache)
    labels = tf.constant(manifest.labels)
    load_mask = mask_loader(manifest, image_size) if masks else None
    columns = {name: tf.constant(column) for name, column in encoded_inputs(manifest, inputs).items()}

    @tf.autograph.experimental.do_not_convert  # nearly half of the time that building a data set takes
    def load(index: tf.Tensor) -> dict[str, Any]:
        image, original_size = load_image(index)
        own = {name: column[index] for name, column in columns.items()}
        example = {"image": image, "label": labels[index], "inputs": own}
        return example if load_mask is None else {**example, "mask": load_mask(index, original_size)}

    return load


def _as_keras_batch(batch: dict[str, Any], preprocess: Preprocess | None, num_classes: int | None) -> tuple:
    image = batch["image"] if preprocess is None else preprocess(batch["image"])
    label = batch["label"] if num_classes is None else tf.one_hot(batch["label"], num_classes)
    others = {**({"mask": batch["mask"]} if "mask" in batch else {}), **batch["inputs"]}
    return ({"image": image, **others} if others else image), label


def _manifest_order(num_images: int, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    return tf.range(num_images, dtype=tf.int64)


def _deterministic(dataset: tf.data.Dataset, manifest: Manifest | None = None) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    dataset = dataset.with_options(options).prefetch(tf.data.AUTOTUNE)
    if manifest is not None:
        dataset.class_names = manifest.class_names
    return dataset


def _check_arguments(manifest: Manifest, image_size: tuple[int, int], batch_size: int) -> None:
    if len(manifest) == 0:
        raise InputError(f"The manifest {manifest.source} has no images left. Check split, folds and class limits.")
    if not isinstance(image_size, (tuple, list)) or len(image_size) != 2 or min(image_size) < 1:
        raise InputError(f"image_size must be (height, width) in px, both at least 1. Received {image_size}.")
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1. Received {batch_size}.")


def _check_trainable(manifest: Manifest) -> None:
    empty = [name for name, count in manifest.class_counts.items() if count == 0]
    if len(manifest.class_names) < 2:
        raise InputError(
            f"Training needs at least two classes. Received {', '.join(manifest.class_names)} in {manifest.source}."
        )
    if empty:
        raise InputError(
            f"No training image of class {', '.join(empty)} in {manifest.source}. "
            "Choose another split, or leave the class out of the class list."
        )
