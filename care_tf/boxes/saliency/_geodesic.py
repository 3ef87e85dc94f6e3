"""Morphological reconstruction: values that spread over an image as far as another one lets them."""

import numpy as np

_STEPS_BETWEEN_CHECKS = 8  # a check costs as much as a step


def reconstruct(markers: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Reconstruction by dilation: every marker, spread as far as its mask lets it.

    m <- min(3 x 3 dilation of m, mask), until nothing changes

    Which is the greatest value that any 8-connected path brings to a pixel, where a path brings the least of the marker
    at its start and the masks on its way.

    Args:
      markers: uint8 or float32 (n,H,W), nowhere above the mask.
      masks: The same.

    Returns:
      The same.

    Source: Vincent, Morphological grayscale reconstruction in image analysis, IEEE TIP 2(2), 1993.
    """
    # Most paths are nearly straight: a pass along each axis leaves few of the steps.
    spread = _swept(markers, masks)
    spread = _swept(spread.swapaxes(1, 2), masks.swapaxes(1, 2)).swapaxes(1, 2)
    return np.stack([_finished(*pair) for pair in zip(spread, masks, strict=True)])


def _swept(markers: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Every row passes on what the next one lets through, downward and upward: (n,H,W) -> (n,H,W)."""
    rows, limits = _rows_both_ways(markers, markers.min()), _rows_both_ways(masks, markers.min())
    spread = np.empty_like(rows[0, 1:-1])
    for before, row, limit in zip(rows, rows[1:, 1:-1], limits[1:, 1:-1], strict=False):
        np.maximum(before[:-2], before[2:], out=spread)
        np.maximum(spread, before[1:-1], out=spread)
        np.maximum(spread, row, out=spread)
        np.minimum(spread, limit, out=row)
    num_images, height, width = markers.shape
    images = rows.reshape(height, 2 * num_images, width + 2)[..., 1:-1].swapaxes(0, 1)
    return np.maximum(images[:num_images], images[num_images:, ::-1])


def _rows_both_ways(images: np.ndarray, lowest: np.generic) -> np.ndarray:
    """All images and, after them, all upside down; (n,H,W) -> (H, 2n (W+2)), the least value between two images."""
    num_images, height, width = images.shape
    rows = np.full((height, 2 * num_images, width + 2), lowest, images.dtype)
    rows[:, :num_images, 1:-1] = images.swapaxes(0, 1)
    rows[:, num_images:, 1:-1] = images[:, ::-1].swapaxes(0, 1)
    return rows.reshape(height, -1)


def _finished(marker: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The steps of the reconstruction until nothing changes: (H,W) -> (H,W)."""
    import cv2

    result = marker.copy()
    top, left, (bottom, right) = 0, 0, mask.shape
    while True:
        part = result[top:bottom, left:right]
        spread = _spread(part, mask[top:bottom, left:right], _STEPS_BETWEEN_CHECKS)
        changed = spread != part
        if not changed.any():
            return result
        part[...] = spread
        # What did not change last time has spread already: only around the rest can anything happen.
        x, y, width, height = cv2.boundingRect(changed.view(np.uint8))
        bottom, right = top + y + height + _STEPS_BETWEEN_CHECKS, left + x + width + _STEPS_BETWEEN_CHECKS
        top, left = max(top + y - _STEPS_BETWEEN_CHECKS, 0), max(left + x - _STEPS_BETWEEN_CHECKS, 0)


def _spread(marker: np.ndarray, mask: np.ndarray, num_steps: int) -> np.ndarray:
    """Some steps of the reconstruction: (H,W) -> (H,W)."""
    import cv2

    # As one long vector, rows apart by a rim that nothing passes, every neighbor is at a fixed distance: NumPy's maxima
    # of shifted vectors are faster than `cv2.dilate`.
    rim = (1, 1, 1, 1, cv2.BORDER_CONSTANT)
    padded, limits = (cv2.copyMakeBorder(image, *rim, value=float(marker.min())) for image in (marker, mask))
    row, values, limit = padded.shape[1], padded.ravel(), limits.ravel()
    columns, spread = np.empty_like(values[: -2 * row]), np.empty_like(values[: -2 * row - 2])
    for _ in range(num_steps):
        np.maximum(values[: -2 * row], values[2 * row :], out=columns)
        np.maximum(columns, values[row:-row], out=columns)
        np.maximum(columns[:-2], columns[2:], out=spread)
        np.maximum(spread, columns[1:-1], out=spread)
        np.minimum(spread, limit[row + 1 : -row - 1], out=values[row + 1 : -row - 1])
    return padded[1:-1, 1:-1]
