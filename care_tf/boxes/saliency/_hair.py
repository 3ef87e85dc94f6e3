"""Hairs and ruler marks: thin dark structures that a closing covers with what lies beside them."""

import numpy as np
import numpy.typing as npt

from care_tf.boxes.saliency._frame import require_rgb_image

WIDTH_FRACTION = 0.03
MIN_DEPTH = 20


def without_hair(
    image: npt.ArrayLike, width_fraction: float = WIDTH_FRACTION, min_depth: int = MIN_DEPTH
) -> np.ndarray:
    """Replaces thin dark structures of a uint8 (H,W,3) RGB image by their surroundings.

    A closing with a disc removes whatever is dark and narrower than the disc. Where it brightens a channel by more than
    `min_depth` gray levels, and one pixel around, its value is taken; everywhere else the image stays. The disc's
    diameter is a fraction of the longer side; below 3 px nothing is removed.

    Source: After Lee et al., DullRazor, Computers in Biology and Medicine 27(6), 1997, with a disc instead of three
      lines and without its interpolation. Dark dots narrower than the disc go, too.
    """
    import cv2

    image = require_rgb_image(image)
    diameter = 2 * round(width_fraction * max(image.shape[:2]) / 2) + 1
    if diameter < 3:
        return image.copy()
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))
    closed = cv2.morphologyEx(image, cv2.MORPH_CLOSE, disc)
    is_hair = (cv2.subtract(closed, image).max(axis=2) > min_depth).astype(np.uint8)
    is_hair = cv2.dilate(is_hair, np.ones((3, 3), np.uint8))
    return np.where(is_hair[..., np.newaxis] > 0, closed, image)
