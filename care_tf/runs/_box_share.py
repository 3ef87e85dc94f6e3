"""Which training images keep their boxes where only a share of a class's has them."""

import math

import numpy as np

from care_tf.data.manifest import Manifest
from care_tf.runs._name_draw import name_digest, own_name


def draw_box_share(manifest: Manifest, share: float, seed: int) -> np.ndarray:
    """The images that keep their boxes or masks: of each class's m groups with them share * m, rounded, at least one.

    A group keeps those of all its images of the class: two photographs of a lesion, one of them with its box, would say
    more than a share of the boxes does. An image whose group is unknown is a group by itself.

    The groups of a class are in an order that depends on the seed and on each group's own name, or the image's, and the
    first ones are taken: those of a smaller share are among those of a larger one, and other rows change nothing in
    the order. Groups of one name in a class, such as a/1.jpg and b/1.jpg, are in that of the rows, which shards keep.

    Args:
      manifest: The rows.
      share: In (0, 1].
      seed: Another one draws others.

    Returns:
      bool (n,).
    """
    has_boxes, keep = manifest.has_boxes, np.zeros(len(manifest), bool)
    for label in range(len(manifest.class_names)):
        rows_of: dict[str | int, list[int]] = {}
        for row in np.flatnonzero(has_boxes & (manifest.labels == label)).tolist():
            rows_of.setdefault(manifest.groups[row] or row, []).append(row)
        order = sorted(rows_of, key=lambda group: name_digest(seed, _name(manifest, group)))
        for group in order[: max(1, math.floor(share * len(order) + 0.5))]:
            keep[rows_of[group]] = True
    return keep


def _name(manifest: Manifest, group: str | int) -> str:
    return group if isinstance(group, str) else own_name(manifest.image_paths[group])
