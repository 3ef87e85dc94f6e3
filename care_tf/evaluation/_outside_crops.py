"""The part of an image that a network attends to most outside the boxes, cut out."""

from typing import NamedTuple

import numpy as np

from care_tf.evaluation.occlusion import gaussian_blur

CROP_SHARE = 0.4
"""The side of the part, as a fraction of the image's shorter side."""
_SPREAD = 0.08  # of the window in which attention is summed, as a fraction of the frame


class OutsideCrop(NamedTuple):
    """A square part of an image: pixels (s, s, 3), and where its upper left corner lies, pixels."""

    pixels: np.ndarray
    left: int
    top: int


def outside_crop(image: np.ndarray, attention: np.ndarray, mask: np.ndarray) -> OutsideCrop | None:
    """The square around the place with most attention outside the mask, moved into the frame where it sticks out.

    Args:
      image: (H, W, 3).
      attention: (H, W) >= 0.
      mask: (H, W), non-zero inside the boxes.

    Returns:
      The part; None where there is no attention outside.
    """
    outside = np.where(np.asarray(mask) > 0, 0.0, attention)
    if not outside.any():
        return None
    summed = np.where(np.asarray(mask) > 0, -1.0, gaussian_blur(outside[np.newaxis], _SPREAD)[0])
    row, column = np.unravel_index(int(summed.argmax()), summed.shape)
    height, width = summed.shape
    side = max(round(CROP_SHARE * min(height, width)), 1)
    top, left = (int(np.clip(at - side // 2, 0, most - side)) for at, most in ((row, height), (column, width)))
    return OutsideCrop(image[top : top + side, left : left + side], left, top)
