"""From a manifest to batches: index based, so that the shuffle is perfect and no image is held in memory."""

import math
from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from care_tf.box_geometry import rasterize_boxes
from care_tf.data.augmentation import Augmentation, augment_batch
from care_tf.data.decoding import decode_mask_named
from care_tf.data.image_source import Cache, ImageLoader, image_loader
from care_tf.data.manifest import Manifest
from care_tf.errors import InputError

Preprocess: TypeAlias = Callable[[tf.Tensor], tf.Tensor]
EpochOrder: TypeAlias = Callable[[int, int, tf.Tensor], tf.Tensor]


def epoch_order(num_images: int, seed: int, epoch: tf.Tensor | int) -> tf.Tensor:
    """The order of one epoch: a permutation that depends on (seed, epoch) only.

    Args:
      num_images: n.
      seed: Of the run.
      epoch: int64 scalar, any number.

    Returns:
      int64 (n,): each of 0..n-1 once.
    """
    draws = tf.random.stateless_uniform((num_images,), _epoch_seed(seed, epoch), alg="philox")
    return tf.cast(tf.argsort(draws, stable=True), tf.int64)


def steps_per_epoch(manifest: Manifest, batch_size: int) -> int:
    """Number of batches of one epoch; the last may be smaller than the others."""
    return math.ceil(len(manifest) / batch_size)


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
) -> tf.data.Dataset:
    """Shuffled, augmented batches for training, in a reproducible order.

    With `first_epoch=None` one iteration is one epoch and every iteration is a fresh one: what `fit(epochs=...)`
    expects; TensorFlow's global seed, if set, enters beside `seed`. With a number the stream is endless and starts at
    that epoch (use `steps_per_epoch`): epoch e is the same whatever epoch the stream started at, so an interrupted
    run goes on as if it had not been.

    Args:
      manifest: The training images, at least one of every class.
      image_size: Height and width, px.
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
        the same length; an index may occur more than once.

    Returns:
      Batches `({"image": (B,H,W,3), "mask": (B,H,W,1)}, labels)`, float32; an all-zero mask means no box.

    Raises:
      InputError: The manifest has fewer than two classes or a class without images, or an argument is out of range.
    """
    _check_arguments(manifest, image_size, batch_size)
    _check_trainable(manifest)
    order = order or (epoch_order if shuffle else _manifest_order)
    num_indices = len(order(len(manifest), seed, tf.constant(first_epoch or 0, tf.int64)))
    load = _loader(manifest, image_size, masks=masks, cache=cache)

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        indices = tf.data.Dataset.from_tensor_slices(order(len(manifest), seed, epoch))
        examples = indices.map(lambda index: (index, load(index)), tf.data.AUTOTUNE)
        return examples.batch(batch_size).map(lambda index, batch: (epoch, index, batch))

    def finish(epoch: tf.Tensor, index: tf.Tensor, batch: dict[str, tf.Tensor]) -> tuple:
        if augmentation is not None:
            seeds = _image_seeds(seed, epoch, index)
            image, mask = augment_batch(batch["image"], batch.get("mask"), seeds, augmentation)
            batch = {**batch, "image": image, **({} if mask is None else {"mask": mask})}
        return _as_keras_batch(batch, preprocess, len(manifest.class_names) if one_hot else None)

    dataset = _epochs(seed, first_epoch).flat_map(one_epoch).map(finish, tf.data.AUTOTUNE)
    steps = tf.data.INFINITE_CARDINALITY if first_epoch is not None else math.ceil(num_indices / batch_size)
    return _deterministic(dataset.apply(tf.data.experimental.assert_cardinality(steps)))


def evaluation_dataset(
    manifest: Manifest,
    image_size: tuple[int, int],
    batch_size: int,
    *,
    preprocess: Preprocess | None = None,
    masks: bool = False,
    one_hot: bool = False,
    cache: Cache = None,
) -> tf.data.Dataset:
    """Every image once, in the manifest's order, unchanged.

    Args: as in `training_dataset`.

    Returns:
      Batches `(images, labels)`, or with masks `({"image", "mask"}, labels)`.

    Raises:
      InputError: The manifest is empty, or an argument is out of range.
    """
    _check_arguments(manifest, image_size, batch_size)
    load = _loader(manifest, image_size, masks=masks, cache=cache)
    num_classes = len(manifest.class_names) if one_hot else None
    examples = tf.data.Dataset.range(len(manifest)).map(load, tf.data.AUTOTUNE).batch(batch_size)
    return _deterministic(examples.map(lambda batch: _as_keras_batch(batch, preprocess, num_classes)))


def _loader(
    manifest: Manifest, image_size: tuple[int, int], *, masks: bool, cache: Cache
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """index -> {"image", "label"[, "mask"]}."""
    load_image: ImageLoader = image_loader(manifest, image_size, cache)
    labels = tf.constant(manifest.labels)
    load_mask = _mask_loader(manifest, image_size) if masks else None

    def load(index: tf.Tensor) -> dict[str, tf.Tensor]:
        image, original_size = load_image(index)
        example = {"image": image, "label": labels[index]}
        return example if load_mask is None else {**example, "mask": load_mask(index, original_size)}

    return load


def _mask_loader(manifest: Manifest, image_size: tuple[int, int]) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """(index, original size) -> mask: from the boxes, or from the mask file where there is one."""
    boxes = tf.concat([tf.zeros((0, 4)), *(boxes for boxes in manifest.boxes if len(boxes))], axis=0)
    num_boxes = tf.constant([len(boxes) for boxes in manifest.boxes])
    ends = tf.cumsum(num_boxes)
    starts = ends - num_boxes
    mask_paths = tf.constant(manifest.mask_paths)
    has_mask_files = any(manifest.mask_paths)

    def load_mask(index: tf.Tensor, original_size: tf.Tensor) -> tf.Tensor:
        own_boxes = boxes[starts[index] : ends[index]]
        scale_xy = tf.cast(image_size[::-1], tf.float32) / tf.cast(original_size[::-1], tf.float32)
        mask = rasterize_boxes(own_boxes, scale_xy, *image_size)
        if not has_mask_files:
            return mask
        path = mask_paths[index]
        return tf.cond(
            tf.equal(path, ""), lambda: mask, lambda: decode_mask_named(tf.io.read_file(path), path, image_size)
        )

    return load_mask


def _as_keras_batch(batch: dict[str, tf.Tensor], preprocess: Preprocess | None, num_classes: int | None) -> tuple:
    image = batch["image"] if preprocess is None else preprocess(batch["image"])
    label = batch["label"] if num_classes is None else tf.one_hot(batch["label"], num_classes)
    return ({"image": image, "mask": batch["mask"]} if "mask" in batch else image), label


def _epochs(seed: int, first_epoch: int | None) -> tf.data.Dataset:
    """Epoch numbers: one new random number per iteration, or k, k + 1, ..."""
    if first_epoch is None:
        return tf.data.Dataset.random(seed, rerandomize_each_iteration=True).take(1)
    return tf.data.Dataset.range(first_epoch, tf.int64.max)


def _epoch_seed(seed: int, epoch: tf.Tensor | int) -> tf.Tensor:
    return tf.stack([tf.constant(seed, tf.int64), tf.cast(epoch, tf.int64)])


def _image_seeds(seed: int, epoch: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """(B,2): a key of the (seed, epoch), and the image's index in the manifest."""
    key = tf.random.stateless_uniform((), _epoch_seed(seed, epoch), None, None, tf.int64, alg="philox")
    return tf.stack([tf.fill(tf.shape(index), key), index], axis=1)


def _manifest_order(num_images: int, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    return tf.range(num_images, dtype=tf.int64)


def _deterministic(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    return dataset.with_options(options).prefetch(tf.data.AUTOTUNE)


def _check_arguments(manifest: Manifest, image_size: tuple[int, int], batch_size: int) -> None:
    if len(manifest) == 0:
        raise InputError(f"the manifest {manifest.source} has no images left; check split, folds and class limits")
    if not isinstance(image_size, (tuple, list)) or len(image_size) != 2 or min(image_size) < 1:
        raise InputError(f"image_size must be (height, width) in px, both at least 1; received {image_size}")
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1; received {batch_size}")


def _check_trainable(manifest: Manifest) -> None:
    empty = [name for name, count in manifest.class_counts.items() if count == 0]
    if len(manifest.class_names) < 2:
        raise InputError(
            f"training needs at least two classes; {manifest.source} has only {', '.join(manifest.class_names)}"
        )
    if empty:
        raise InputError(
            f"no training image of class {', '.join(empty)} in {manifest.source}; "
            "choose another split, or leave the class out of the class list"
        )
