"""What turns the sum of boolean attention maps into a saliency map: smoothing, or reconstruction with a sigmoid."""

import numpy as np

from care_tf.boxes.saliency._geodesic import reconstruct
from care_tf.boxes.saliency._scaling import min_max

SQUARE = np.ones((3, 3), np.uint8)


def smoothed(saliency: np.ndarray, dilation_width: int = 9, sigma_px: float = 9.0) -> np.ndarray:
    """Post-processing of the forms that predict where people look: dilation, Gaussian blur, min-max; float32 (H,W)."""
    import cv2

    return min_max(cv2.GaussianBlur(dilate(saliency, dilation_width), (0, 0), sigma_px))


def reconstructed(saliency: np.ndarray) -> np.ndarray:
    """Post-processing of the salient-object form: even regions with sharp edges; float32 (H,W) in [0,1].

    S' = closing by reconstruction of (opening by reconstruction of S), of width max(floor(50 sqrt(mean S)), 3)
    1 / (1 + exp(-10 (S' - (mu1 + mu2) / 2))), min-max before and after

    mu1 and mu2 are the means of Otsu's two classes of S'.
    """
    saliency = min_max(saliency)
    width = max(int(np.sqrt(saliency.mean()) * 50), 3)
    opened = reconstruct(erode(saliency, width)[np.newaxis], saliency[np.newaxis])
    even = min_max(-reconstruct(-dilate(opened[0], width)[np.newaxis], -opened)[0])
    if not even.any():
        return even
    is_high = _above_otsu(even)
    middle = (even[is_high].mean() + even[~is_high].mean()) / 2
    return min_max(1.0 / (1.0 + np.exp(-10.0 * (even - middle))))


def dilate(values: np.ndarray, width: int) -> np.ndarray:
    """Greatest value within a square of an odd width, cut at the border: (H,W) -> (H,W)."""
    import cv2

    return cv2.dilate(values, SQUARE, iterations=(width - 1) // 2)


def erode(values: np.ndarray, width: int) -> np.ndarray:
    """Least value within a square of an odd width, cut at the border: (H,W) -> (H,W)."""
    import cv2

    return cv2.erode(values, SQUARE, iterations=(width - 1) // 2)


def _above_otsu(values: np.ndarray) -> np.ndarray:
    """Values (H,W) in [0,1] -> bool (H,W): the higher of Otsu's two classes, on 256 levels; neither is empty."""
    import cv2

    levels = np.rint(255 * values).astype(np.uint8)
    return levels > cv2.threshold(levels, 0, 255, cv2.THRESH_OTSU)[0]
