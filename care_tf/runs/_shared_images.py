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
from care_tf.data.image_source import ImageLoader, change_key, images_key

# Enough for SqueezeNet's activations of several thousand images, for a stage and for one that runs come back to.
CAPACITY_BYTES = 4 * 2**30


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
        key = ("images", rows.image_paths, image_size, rows.max_pixel_value, rows.resize, change_key(rows))
        num_bytes = len(rows) * image_size[0] * image_size[1] * 3 if self._cache == "memory" else 0
        return self._once(key, lambda: (image_loader(rows, image_size, self._cache), num_bytes))

    def activations(
        self,
        rows: Manifest,
        image_size: tuple[int, int],
        lower: keras.Model,
        preprocess: Callable[[tf.Tensor], tf.Tensor],
        preprocess_name: str,
        signs: tuple[Signs, ...],
    ) -> ActivationCache:
        """What the lower part gives for every row and flip; it is computed anew only if its weights have changed."""
        digest = hashlib.sha256(f"{preprocess_name} {image_size} {signs} {lower.get_config()}".encode())
        for array in lower.get_weights():
            digest.update(array.tobytes())
        key = ("activations", rows.image_paths, rows.max_pixel_value, rows.resize, change_key(rows), digest.hexdigest())
        folder = None
        if self._cache not in (None, "memory"):
            digest.update(images_key(rows, image_size).encode())
            folder = Path(self._cache) / f"activations-{digest.hexdigest()[:16]}"

        def compute() -> tuple[ActivationCache, int]:
            def from_rgb(images: tf.Tensor) -> tf.Tensor:
                return lower(preprocess(images), training=False)

            cache = compute_activations(rows, self.loader(rows, image_size), from_rgb, signs, folder=folder)
            return cache, 0 if folder is not None else cache.activations.nbytes

        return self._once(key, compute)

    def _once(self, key: tuple, make: Callable[[], tuple[Any, int]]) -> Any:
        """What is kept under the key, or what `make` gives with its size in bytes."""
        if key not in self._kept:
            self._kept[key] = make()
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and sum(num_bytes for _, num_bytes in self._kept.values()) > CAPACITY_BYTES:
            self._kept.popitem(last=False)
        return self._kept[key][0]
