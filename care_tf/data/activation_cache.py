"""Activations of a frozen lower part of a network, computed once per image and flip instead of in every epoch."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from care_tf.data.augmentation import Augmentation, flip_signs
from care_tf.data.epochs import EpochOrder
from care_tf.data.image_source import ImageLoader
from care_tf.data.input_encoding import InputEncoding, encoded_inputs
from care_tf.data.manifest import Manifest
from care_tf.data.pipeline import epoch_indices, load_masks
from care_tf.data.replica_share import ReplicaShare, loaded_batches
from care_tf.disk_array import load_array, reserved_array
from care_tf.errors import InputError
from care_tf.files import atomic_path

Signs = tuple[int, int]
LowerPart = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class ActivationCache:
    """What a frozen lower part gives for every image and flip.

    Attributes:
      activations: float32 (n, V, h, w, d); n images, V flips.
      signs: The V flips as (x, y), -1 for mirrored; (1, 1), the image as it is, comes first.
      sizes: int32 (n, 2), original height and width of the images, px.
      rows: Image path -> its row.
    """

    activations: np.ndarray
    signs: tuple[Signs, ...]
    sizes: np.ndarray
    rows: dict[str, int]


def flips_of(augmentation: Augmentation | None) -> tuple[Signs, ...]:
    """The flips that an augmentation may draw, (1, 1) first.

    Raises:
      InputError: It changes more than that, or only some classes: its images are too many to compute ahead.
    """
    if augmentation is None:
        return ((1, 1),)
    if not augmentation.only_flips or augmentation.classes is not None:
        raise InputError(
            "Activations can be cached for flips of all classes only: rotation and color give a new image in every "
            f"epoch. Received {augmentation}. Switch the rest of the augmentation off, or set cache_activations to "
            "false."
        )
    return tuple(
        (x, y)
        for y in ((1, -1) if augmentation.vertical_flip else (1,))
        for x in ((1, -1) if augmentation.horizontal_flip else (1,))
    )


def compute_activations(
    manifest: Manifest,
    load_image: ImageLoader,
    lower: LowerPart,
    signs: tuple[Signs, ...],
    batch_size: int = 64,
    folder: Path | None = None,
) -> ActivationCache:
    """Runs the lower part over every image and flip, or reads what an earlier call left in the folder.

    Args:
      manifest: The images.
      load_image: Index -> (float32 (H,W,3) RGB 0..255, original size); of `image_loader`.
      lower: float32 (B,H,W,3) RGB 0..255 -> activations (B,h,w,d), preprocessing included, in inference mode.
      signs: The flips, of `flips_of`.
      batch_size: Images per call of `lower`.
      folder: Where to keep the activations; None keeps them in memory (n V h w d 4 bytes). The folder's name must
        change with the images and the lower part.

    Returns:
      The cache.
    """
    rows = {path: row for row, path in enumerate(manifest.image_paths)}
    if folder is None:
        activations, sizes = _filled(manifest, load_image, lower, signs, batch_size, np.empty)
        return ActivationCache(activations, signs, sizes, rows)
    if not folder.exists():
        with atomic_path(folder, durable=True) as temporary:
            temporary.mkdir(parents=True)

            def on_disk(shape: tuple[int, ...], dtype: type) -> np.ndarray:
                return reserved_array(temporary / "activations.npy", shape, dtype)

            activations, sizes = _filled(manifest, load_image, lower, signs, batch_size, on_disk)
            activations.flush()  # type: ignore[attr-defined]
            np.save(temporary / "sizes.npy", sizes)
    activations = load_array(folder / "activations.npy", mmap_mode="r")
    return ActivationCache(activations, signs, load_array(folder / "sizes.npy"), rows)


def activation_training_dataset(
    manifest: Manifest,
    cache: ActivationCache,
    image_size: tuple[int, int],
    batch_size: int,
    *,
    seed: int,
    augmentation: Augmentation | None = None,
    masks: bool = True,
    first_epoch: int | None = None,
    order: EpochOrder | None = None,
    inputs: Sequence[InputEncoding] = (),
    share: ReplicaShare | None = None,
) -> tf.data.Dataset:
    """The batches of `training_dataset` with the activations of the flipped images in place of the images.

    Order, flips and masks are those that `training_dataset` draws under the same seed.

    Args:
      manifest: The training images, all of them in the cache.
      cache: Made for at least the flips of `augmentation`.
      image_size: Height and width of the images and masks, px.
      batch_size, seed, masks, first_epoch, order, inputs, share: As for `training_dataset`.
      augmentation: None, or one that only flips.

    Returns:
      Batches `({"activation": (B,h,w,d), "mask": (B,H,W,1)}, labels (B,) int32)`; without masks no "mask"; with each
      further input one more key.
    """
    positions = {signs: position for position, signs in enumerate(cache.signs)}
    missing = set(flips_of(augmentation)) - set(positions)
    if missing:
        raise InputError(f"The cached activations lack the flips {sorted(missing)}. Compute them for {augmentation}.")
    fetch = _fetch(manifest, cache, positions, image_size, masks, inputs)
    labels = tf.constant(manifest.labels)

    def batch(index: tf.Tensor, seeds: tf.Tensor) -> tuple:
        signs = tf.ones((tf.size(index), 2)) if augmentation is None else flip_signs(seeds, augmentation)
        return fetch(index, signs), tf.gather(labels, index)

    indices = epoch_indices(len(manifest), batch_size, seed=seed, first_epoch=first_epoch, order=order, share=share)
    return indices.map(batch, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def activation_evaluation_dataset(
    manifest: Manifest,
    cache: ActivationCache,
    image_size: tuple[int, int],
    batch_size: int,
    masks: bool = False,
    inputs: Sequence[InputEncoding] = (),
    share: ReplicaShare | None = None,
) -> tf.data.Dataset:
    """Every image's activations once, in the manifest's order, without flips. Arguments as in the training dataset."""
    fetch = _fetch(manifest, cache, {(1, 1): cache.signs.index((1, 1))}, image_size, masks, inputs)
    labels = tf.constant(manifest.labels)
    every = tf.range(len(manifest), dtype=tf.int64)
    indices = loaded_batches(every, len(manifest), batch_size, lambda index: index, share)
    batches = indices.map(lambda index: (fetch(index, tf.ones((tf.size(index), 2))), tf.gather(labels, index)))
    return batches.prefetch(tf.data.AUTOTUNE)


def _filled(manifest, load_image, lower, signs, batch_size, allocate) -> tuple[np.ndarray, np.ndarray]:
    """Activations and sizes of an `ActivationCache`."""
    from tqdm import tqdm

    @tf.function(autograph=False, reduce_retracing=True)
    def all_flips(images: tf.Tensor) -> tf.Tensor:
        return tf.stack([lower(images[:, ::y, ::x]) for x, y in signs], axis=1)

    batches = tf.data.Dataset.range(len(manifest)).map(load_image, tf.data.AUTOTUNE).batch(batch_size).prefetch(2)
    activations: Any = None  # allocated when the first batch shows its shape
    sizes, done = np.empty((len(manifest), 2), np.int32), 0
    with tqdm(total=len(manifest), desc="activations", unit="image") as progress:
        for images, original_sizes in batches:
            part = all_flips(images).numpy()
            if activations is None:
                activations = allocate((len(manifest), *part.shape[1:]), np.float32)
            activations[done : done + len(part)] = part
            sizes[done : done + len(part)] = original_sizes
            done += len(part)
            progress.update(len(part))
    return activations, sizes


def _fetch(manifest: Manifest, cache: ActivationCache, positions: dict[Signs, int], image_size, masks: bool, inputs):
    """(index (B,), signs (B,2)) -> {"activation", "mask", ...}, as TensorFlow operations."""
    columns = {name: tf.constant(column) for name, column in encoded_inputs(manifest, inputs).items()}
    rows = np.array([cache.rows[path] for path in manifest.image_paths])
    boxed = np.flatnonzero(manifest.has_boxes) if masks else np.empty(0, int)
    own_masks = dict(zip(boxed, load_masks(manifest.subset(boxed), image_size, cache.sizes[rows[boxed]]), strict=True))
    activation_shape = cache.activations.shape[2:]

    def fetch_arrays(index: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        flips = [(int(x), int(y)) for x, y in signs]
        mask = np.zeros((len(index), *image_size, 1) if masks else (len(index), 0, 0, 1), np.float32)
        for place, (image, (x, y)) in enumerate(zip(index, flips, strict=True)):
            if image in own_masks:
                mask[place] = own_masks[image][::y, ::x]
        return cache.activations[rows[index], [positions[flip] for flip in flips]], mask

    def fetch(index: tf.Tensor, signs: tf.Tensor) -> dict[str, tf.Tensor]:
        activation, mask = tf.numpy_function(fetch_arrays, [index, signs], (tf.float32, tf.float32), stateful=False)
        x = {"activation": tf.ensure_shape(activation, (None, *activation_shape))}
        x |= {name: tf.gather(column, index) for name, column in columns.items()}
        return {**x, "mask": tf.ensure_shape(mask, (None, *image_size, 1))} if masks else x

    return fetch
