"""Batches of images and lesion masks, from a manifest with mask files."""

import dataclasses

import tensorflow as tf

from care_tf.data.augmentation import Augmentation, augment_batch
from care_tf.data.epochs import epoch_batches, epoch_order
from care_tf.data.manifest import Manifest
from care_tf.data.pipeline import example_loader
from care_tf.images.resize_choice import STRETCH

# A lesion looks the same turned and mirrored, and dermatoscopes differ in color.
AUGMENTATION = Augmentation(rotation_degrees=180.0, brightness=0.1, contrast=0.2, saturation=0.2, hue=0.03)


def segmentation_batches(
    manifest: Manifest, image_size: tuple[int, int], batch_size: int, *, seed: int | None = None
) -> tf.data.Dataset:
    """Images and masks for `fit`.

    Args:
      manifest: Every image has a mask file or boxes.
      image_size: Height and width, px.
      batch_size: Images per batch.
      seed: Of order and augmentation, for training; None gives the manifest's order, unchanged.

    Returns:
      Batches (images, masks): float32 (B,H,W,3) RGB 0..255 and float32 (B,H,W,1) in {0, 1}.
    """
    manifest = dataclasses.replace(manifest, resize=STRETCH)  # as images are when they are segmented
    load = example_loader(manifest, image_size, masks=True, cache="memory")
    if seed is None:
        examples = tf.data.Dataset.range(len(manifest)).map(load, tf.data.AUTOTUNE).batch(batch_size)
        return examples.map(lambda example: (example["image"], example["mask"])).prefetch(tf.data.AUTOTUNE)

    def finish(example: dict[str, tf.Tensor], seeds: tf.Tensor) -> tuple:
        return augment_batch(example["image"], example["mask"], seeds, AUGMENTATION)

    batches = epoch_batches(load, len(manifest), batch_size, seed, None, epoch_order)
    return batches.map(finish, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
