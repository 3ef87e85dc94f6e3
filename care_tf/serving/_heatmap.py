"""The picture of what a model saw in an image: the attention over it, and the box around that."""

import numpy as np

from care_tf.box_geometry import union_mask
from care_tf.evaluation.map_overlay import full_size, outlined, overlaid
from care_tf.serving._predictor import Prediction


def heatmap(found: Prediction, thumbnail: np.ndarray) -> np.ndarray:
    """Draws the attention of a prediction, and its box, over the image.

    Args:
      found: Predicted with attention.
      thumbnail: uint8 (h,w,3), of `resized`.

    Returns:
      uint8 (h,w,3).
    """
    height, width = thumbnail.shape[:2]
    drawn = overlaid(thumbnail, full_size(found.attention_map, (height, width), found.image.path))
    if found.box is None or not found.box.any():
        return drawn
    scale = np.array([width, height, width, height]) / np.tile(found.size[::-1], 2)
    return outlined(drawn, union_mask(found.box * scale, height, width))
