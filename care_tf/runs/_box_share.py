"""Which training images keep their boxes where only a share of a class's has them."""

import hashlib
import math
from pathlib import Path

import numpy as np

from care_tf.csv_files import relative_to
from care_tf.data.manifest import Manifest


def draw_box_share(manifest: Manifest, share: float, seed: int) -> np.ndarray:
    """The images that keep their boxes or masks: of each class's m images with them share * m, rounded, at least one.

    The images of a class are in an order that depends on the seed and on each image's own path from the manifest, and
    the first ones are taken: those of a smaller share are among those of a larger one, and other rows change nothing in
    the order.

    Args:
      manifest: Read from a file, to whose folder paths are relative.
      share: In (0, 1].
      seed: Another one draws others.

    Returns:
      bool (n,).
    """
    name = relative_to(Path(manifest.source).absolute().parent)
    has_boxes, keep = manifest.has_boxes, np.zeros(len(manifest), bool)
    for label in range(len(manifest.class_names)):
        rows = np.flatnonzero(has_boxes & (manifest.labels == label)).tolist()
        rows.sort(key=lambda row: _draw(name(manifest.image_paths[row]), seed))
        keep[rows[: max(1, math.floor(share * len(rows) + 0.5))]] = True
    return keep


def _draw(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode()).digest()
