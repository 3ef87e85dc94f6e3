"""Decoded images and frozen activations that the stages of a run, and the runs of a comparison, share."""

import collections
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from care_tf.data import Manifest, image_loader
from care_tf.data.activation_cache import ActivationCache, Signs, compute_activations
from care_tf.data.image_source import ImageLoader

# Images and activations of training and validation rows, for a stage and for the one that other runs come back to.
CAPACITY = 4


class SharedImages:
    """Keeps what was decoded or computed last; what is asked for again is not made again.

    Args:
      cache: "memory", a folder that outlives the process, or None: images are then decoded every time, and activations
        kept in memory.
    """

    def __init__(self, cache: str | None):
        self._cache = cache
        self._kept: collections.OrderedDict[tuple, Any] = collections.OrderedDict()

    def loader(self, rows: Manifest, image_size: tuple[int, int]) -> ImageLoader:
        """The function that gives one image by its index in `rows`."""
        key = ("images", rows.image_paths, image_size)
        return self._once(key, lambda: image_loader(rows, image_size, self._cache))

    def activations(
        self,
        rows: Manifest,
        image_size: tuple[int, int],
        lower: keras.Model,
        preprocess: Callable[[tf.Tensor], tf.Tensor],
        preprocess_name: str,
        signs: tuple[Signs, ...],
    ) -> ActivationCache:
        """What the lower part gives for every row and flip; it is computed anew only if its weights have changed.

        Args:
          rows: The images.
          image_size: Height and width, px.
          lower: Preprocessed images -> activations.
          preprocess: RGB 0..255 -> what `lower` takes.
          preprocess_name: What distinguishes this preprocessing from others.
          signs: The flips.
        """
        digest = hashlib.sha256(f"{preprocess_name} {image_size} {signs} {lower.get_config()}".encode())
        for array in lower.get_weights():
            digest.update(array.tobytes())
        key = ("activations", rows.image_paths, digest.hexdigest())
        folder = None
        if self._cache not in (None, "memory"):
            digest.update("\n".join(rows.image_paths).encode())
            folder = Path(self._cache) / f"activations-{digest.hexdigest()[:16]}"

        def compute() -> ActivationCache:
            def from_rgb(images: tf.Tensor) -> tf.Tensor:
                return lower(preprocess(images), training=False)

            return compute_activations(rows, self.loader(rows, image_size), from_rgb, signs, folder=folder)

        return self._once(key, compute)

    def _once(self, key: tuple, make: Callable[[], Any]) -> Any:
        if key not in self._kept:
            self._kept[key] = make()
            while len(self._kept) > CAPACITY:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]
