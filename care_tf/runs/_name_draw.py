"""Draws for an image or a group by its own name: other rows, their order and the folder of the data do not count."""

import hashlib
import os

import numpy as np

from care_tf.csv_files import composed


def own_name(path: str | os.PathLike) -> str:
    """An image's own name, which it keeps in a shard.

    Example:
      >>> own_name("a/b.jpg"), own_name("0.tfrecord/4096/image/b.jpg")
      ('b.jpg', 'b.jpg')
    """
    return os.path.basename(os.fspath(path))


def name_digest(seed: int, name: str) -> bytes:
    """A number of 32 bytes, as good as random, for a name under a seed; either spelling of an accent gives the same."""
    return hashlib.sha256(f"{seed} {composed(name)}".encode()).digest()


def name_generator(seed: int, name: str) -> np.random.Generator:
    """A random generator for a name under a seed."""
    return np.random.default_rng(int.from_bytes(name_digest(seed, name), "big"))
