"""Which images an epoch draws, in which order, and the seed of each draw."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import tensorflow as tf

from care_tf.data.replica_share import ReplicaShare, loaded_batches
from care_tf.data.sampling import SampledOrder

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


def num_drawn(num_images: int, order: EpochOrder | None = None) -> int:
    """Number of images one epoch draws from `num_images`; None is the pipeline's own order, which draws each once."""
    return num_images if order is None else len(order(num_images, 0, tf.constant(0, tf.int64)))


def check_order(order: EpochOrder, num_images: int, batch_size: int, first_epoch: int | None) -> None:
    """Raises an InputError for a `SampledOrder` that does not fit the others; any other order may be anything."""
    if isinstance(order, SampledOrder):
        order.check_use(num_images, batch_size, first_epoch)


def epoch_batches(
    load: Callable[[tf.Tensor], Any],
    num_images: int,
    batch_size: int,
    seed: int,
    first_epoch: int | None,
    order: EpochOrder,
    share: ReplicaShare | None = None,
) -> tf.data.Dataset:
    """Batches of loaded images in the order of their epochs: the frame of every training dataset.

    Args:
      load: Index, int64 scalar, -> tensors of one image; called for many images at once.
      num_images: n.
      batch_size: Images per batch; the last batch of an epoch may be smaller.
      seed: Of order and seeds.
      first_epoch: None: one epoch with a random number; else the number at which an endless stream of epochs starts.
      order: Of the epochs; each draws equally many images.
      share: Whose part of every batch; None for whole batches.

    Returns:
      Batches (loaded, seeds), seeds int64 (B,2): what `augment_batch` takes. They depend on seed, epoch, image and,
      where the epoch draws the image again, on how often it did before.

    Raises:
      InputError: A `SampledOrder` does not fit the other arguments.
    """
    check_order(order, num_images, batch_size, first_epoch)
    num_draws = num_drawn(num_images, order)
    num_batches = math.ceil(num_draws / batch_size) * (1 if share is None else share.count)

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        indices = tf.cast(order(num_images, seed, epoch), tf.int64)
        draws = (indices, _image_seeds(seed, epoch, indices, num_images))
        return loaded_batches(draws, num_draws, batch_size, lambda index, seeds: (load(index), seeds), share)

    steps = tf.data.INFINITE_CARDINALITY if first_epoch is not None else num_batches
    return _epochs(seed, first_epoch).flat_map(one_epoch).apply(tf.data.experimental.assert_cardinality(steps))


def _epochs(seed: int, first_epoch: int | None) -> tf.data.Dataset:
    """Epoch numbers: one new random number per iteration, or k, k + 1, ..."""
    if first_epoch is None:
        return tf.data.Dataset.random(seed, rerandomize_each_iteration=True).take(1)
    return tf.data.Dataset.range(first_epoch, tf.int64.max)


def _epoch_seed(seed: int, epoch: tf.Tensor | int) -> tf.Tensor:
    return tf.stack([tf.constant(seed, tf.int64), tf.cast(epoch, tf.int64)])


def _image_seeds(seed: int, epoch: tf.Tensor, indices: tf.Tensor, num_images: int) -> tf.Tensor:
    """(m,2): a key of the (seed, epoch), and index + n * (how often the epoch drew that image before)."""
    key = tf.random.stateless_uniform((), _epoch_seed(seed, epoch), None, None, tf.int64, alg="philox")
    draws = indices + num_images * _occurrences(indices)
    return tf.stack([tf.fill(tf.shape(draws), key), draws], axis=1)


def _occurrences(indices: tf.Tensor) -> tf.Tensor:
    """int64 (m,): how often each index occurs before its own place."""
    by_index = tf.argsort(indices, stable=True)
    in_order = tf.gather(indices, by_index)
    places = tf.range(tf.size(indices)) - tf.searchsorted(in_order, in_order)
    return tf.cast(tf.scatter_nd(by_index[:, None], places, tf.shape(indices)), tf.int64)
