"""Tiles of a picture grid: an image with its box, and a network's attention map over it."""

from collections.abc import Sequence

import numpy as np

from care_tf.evaluation.map_overlay import full_size, outlined, overlaid, resized, share_inside
from care_tf.evaluation.picture_grid import Tile
from care_tf.evaluation.pictures import percent


def image_tile(image: np.ndarray, mask: np.ndarray, caption: str) -> Tile:
    """The image (H, W, 3) uint8 with the outline of its mask (H, W)."""
    return Tile(outlined(resized(image), mask > 0), caption)


def map_tile(
    image: np.ndarray, attention: np.ndarray, mask: np.ndarray, called: str, notes: Sequence[str] = ()
) -> Tile:
    """The map (h, w) in [0, 1] over its image, and below it the class called, the share inside the box, and notes."""
    attention, mask = full_size(attention, mask.shape, called), mask > 0
    inside = [f"{percent(share_inside(attention, mask), 0)} inside"] if mask.any() else []
    return Tile(outlined(overlaid(image, attention), mask), ", ".join([f"calls {called}", *inside, *notes]))
