"""Values scaled to the unit interval, as the steps of a saliency method take and give them."""

from collections.abc import Sequence

import numpy as np


def min_max(values: np.ndarray, where: np.ndarray | Sequence[bool] | None = None) -> np.ndarray:
    """(v - min) / (max - min) of the same dtype, 0 where nothing varies.

    Args:
      values: float, any shape.
      where: bool of the same shape, the entries that count; the others become 0. None: all.

    Example:
      >>> min_max(np.array([1.0, 2.0, 5.0])).tolist(), min_max(np.array([3.0, 3.0])).tolist()
      ([0.0, 0.25, 1.0], [0.0, 0.0])
    """
    counted = values if where is None else values[where]
    if counted.size == 0:
        return np.zeros_like(values)
    low, high = counted.min(), counted.max()
    # Differences in the last digits are rounding: scaled up they would look like an object.
    if not high - low > 1e-7 * max(abs(float(low)), abs(float(high)), 1e-3):
        return np.zeros_like(values)
    scaled = np.clip((values - low) / (high - low), 0, 1)
    return scaled if where is None else np.where(where, scaled, values.dtype.type(0))
