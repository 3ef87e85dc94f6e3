"""Which images of every batch go to which replica: each loads its own alone, and together they are the batch."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class ReplicaShare:
    """The replicas that a data set is for, of all those that share its batches.

    Attributes:
      first: The first of them.
      count: How many they are.
      total: How many there are.
    """

    first: int
    count: int
    total: int

    def places(self, num_images: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """Where in an epoch the images of these replicas are.

        Of a batch of b images replica r has those from b r // total up to b (r + 1) // total: as many as the others, or
        one more or less, and perhaps none of a short last batch.

        Args:
          num_images: n, of the epoch.
          batch_size: Images per batch of all replicas.

        Returns:
          `(places, is_own)`, int64 and bool (m, k): one row for each batch of one replica, in turn, filled up to the
          largest batch, k, by places that are not its own.
        """
        starts = np.arange(0, num_images, batch_size)[:, None]
        sizes = np.minimum(batch_size, num_images - starts)
        bounds = starts + sizes * np.arange(self.first, self.first + self.count + 1) // self.total
        places = bounds[:, :-1].reshape(-1, 1) + np.arange(math.ceil(batch_size / self.total))
        return np.minimum(places, num_images - 1), places < bounds[:, 1:].reshape(-1, 1)


def loaded_batches(
    draws: Any, num_images: int, batch_size: int, load: Callable[..., Any], share: ReplicaShare | None
) -> tf.data.Dataset:
    """The images of an epoch, loaded and in batches.

    Args:
      draws: A tensor (n, ...) or a tuple of them: what `load` is given of each image.
      num_images: n.
      batch_size: Images per batch of all replicas; the last may have fewer.
      load: What is drawn of one image -> its tensors; called for many images at once.
      share: Whose batches; None for whole ones.

    Returns:
      Batches of what `load` gives; of a share one for each of its replicas in turn, perhaps of no image.
    """
    if share is None:
        return tf.data.Dataset.from_tensor_slices(draws).map(load, tf.data.AUTOTUNE).batch(batch_size)
    places, is_own = share.places(num_images, batch_size)
    own_draws = tf.nest.map_structure(lambda drawn: tf.gather(drawn, places.ravel()), draws)

    def load_own(drawn: Any, is_own: tf.Tensor) -> tuple:
        return (load(*drawn) if isinstance(drawn, tuple) else load(drawn)), is_own

    def leave_others(batch: Any, is_own: tf.Tensor) -> Any:
        return tf.nest.map_structure(lambda rows: tf.boolean_mask(rows, is_own), batch)

    examples = tf.data.Dataset.from_tensor_slices((own_draws, is_own.ravel())).map(load_own, tf.data.AUTOTUNE)
    return examples.batch(places.shape[1]).map(leave_others)
