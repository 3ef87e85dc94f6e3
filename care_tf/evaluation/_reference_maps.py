"""What attention maps that need no learning score: the figures to hold a trained model's attention against."""

from collections.abc import Iterable

import numpy as np

from care_tf.errors import InputError

GAUSSIAN_SIGMA = 0.2
"""Standard deviation of the centered Gaussian, as a fraction of the frame's width and height."""


def centered_gaussian(height: int, width: int, sigma: float = GAUSSIAN_SIGMA) -> np.ndarray:
    """A Gaussian in the middle of the frame, the best guess for data whose objects are photographed in the center.

        G(x, y) = exp(-((x / W - 1/2)^2 + (y / H - 1/2)^2) / (2 sigma^2)) at pixel centers

    Args:
      height: H, pixels.
      width: W, pixels.
      sigma: Standard deviation as a fraction of the frame.

    Returns:
      (H, W) float64 in (0, 1].
    """
    rows = (np.arange(height) + 0.5) / height - 0.5
    columns = (np.arange(width) + 0.5) / width - 0.5
    return np.exp(-(rows[:, np.newaxis] ** 2 + columns**2) / (2.0 * sigma**2))


def attention_references(masks: Iterable[np.ndarray], sigma: float = GAUSSIAN_SIGMA) -> dict[str, np.ndarray]:
    """Attention inside the box of a uniform map and of a centered Gaussian.

        share = sum(M * F) / sum(F)

    Args:
      masks: Masks of the images' boxes, (H, W) or (H, W, 1) each, non-zero inside; sizes may differ. One at a time is
        held in memory.
      sigma: Standard deviation of the Gaussian as a fraction of the frame.

    Returns:
      {"uniform": (n,), "centered_gaussian": (n,)} float64 in [0, 1]; NaN for an all-zero mask ("no box").

    Raises:
      InputError: A mask that is not (H, W) or (H, W, 1).

    Example:
      >>> mask = np.zeros((10, 10)); mask[:, :5] = 1
      >>> attention_references([mask])["uniform"]
      array([0.5])
    """
    uniform, gaussian = [], []
    maps: dict[tuple[int, ...], np.ndarray] = {}
    for index, mask in enumerate(masks):
        inside = np.asarray(mask) > 0
        if inside.ndim == 3 and inside.shape[-1] == 1:
            inside = inside[..., 0]
        if inside.ndim != 2:
            raise InputError(f"masks must be (H, W) or (H, W, 1). Received: shape {inside.shape} at mask {index}.")
        if inside.shape not in maps:
            found = centered_gaussian(inside.shape[0], inside.shape[1], sigma)
            maps[inside.shape] = found / found.sum()
        has_box = inside.any()
        uniform.append(inside.mean() if has_box else np.nan)
        gaussian.append(maps[inside.shape][inside].sum() if has_box else np.nan)
    return {"uniform": np.asarray(uniform, np.float64), "centered_gaussian": np.asarray(gaussian, np.float64)}
