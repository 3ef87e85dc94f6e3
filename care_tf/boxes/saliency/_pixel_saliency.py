"""From superpixels of several scales to pixels, and the object-biased Gaussian."""

from collections.abc import Sequence

import numpy as np

from care_tf.boxes.saliency._scaling import min_max

EPSILON = 1e-6
SIGMA_FRACTION = 0.25


def pixel_map(
    features: np.ndarray, labels: Sequence[np.ndarray], means: Sequence[np.ndarray], errors: Sequence[np.ndarray]
) -> np.ndarray:
    """The error of every pixel: that of its superpixels, the more like it the more.

    E(z) = sum_s w_s e_s / sum_s w_s,  w_s = 1 / (||f_z - x_s|| + 1e-6)

    s runs over the scales; x_s and e_s belong to the superpixel that holds z.

    Args:
      features: float (H,W,d), the pixels' features.
      labels: One int (H,W) per scale; -1 for pixels that do not count, the same in all.
      means: One float (n_s,d) per scale, the superpixels' features.
      errors: One float (n_s,k) per scale, k kinds of error.

    Returns:
      float32 (H,W,k); 0 for pixels that do not count; not rescaled.

    Source: Li et al. 2013, Eq. 8.
    """
    field = labels[0] >= 0
    pixels = features[field].astype(np.float32)
    total = np.zeros((len(pixels), errors[0].shape[1]), np.float32)
    total_weight = np.zeros(len(pixels), np.float32)
    for scale_labels, scale_means, scale_errors in zip(labels, means, errors, strict=True):
        own = scale_labels[field]
        offsets = pixels - scale_means.astype(np.float32)[own]
        weight = 1.0 / (np.sqrt(np.einsum("zd,zd->z", offsets, offsets)) + np.float32(EPSILON))
        total += weight[:, np.newaxis] * scale_errors.astype(np.float32)[own]
        total_weight += weight
    result = np.zeros((*field.shape, total.shape[1]), np.float32)
    result[field] = total / total_weight[:, np.newaxis]
    return result


def object_biased(saliency: np.ndarray, sigma_fraction: float = SIGMA_FRACTION) -> np.ndarray:
    """Weights a map, float (H,W) >= 0, with a Gaussian about its own centroid; float32 (H,W), not rescaled.

    G(x, y) = exp(-((x - mx)^2 / (2 sx^2) + (y - my)^2 / (2 sy^2))),  sx = 0.25 W, sy = 0.25 H

    (mx, my) is the centroid weighted with the map; a map of zeros stays so.

    Source: Li et al. 2013, Eqs. 9-10.
    """
    saliency = np.asarray(saliency, np.float64)
    height, width = saliency.shape
    total = saliency.sum()
    if total <= 0:
        return np.zeros(saliency.shape, np.float32)
    columns, rows = np.arange(width), np.arange(height)
    center_x, center_y = saliency.sum(axis=0) @ columns / total, saliency.sum(axis=1) @ rows / total
    along_x = np.exp(-((columns - center_x) ** 2) / (2 * (sigma_fraction * width) ** 2))
    along_y = np.exp(-((rows - center_y) ** 2) / (2 * (sigma_fraction * height) ** 2))
    return (saliency * along_y[:, np.newaxis] * along_x).astype(np.float32)


def pixel_saliency(
    features: np.ndarray, labels: Sequence[np.ndarray], means: Sequence[np.ndarray], errors: Sequence[np.ndarray]
) -> np.ndarray:
    """Steps 8 and 9: the pixel map, scaled, times the Gaussian, scaled.

    Arguments as for `pixel_map`; float32 (H,W,k), in [0, 1]; 0 for pixels that do not count.
    """
    field = labels[0] >= 0
    maps = pixel_map(features, labels, means, errors)
    kinds = [min_max(object_biased(min_max(maps[..., kind], field)), field) for kind in range(maps.shape[-1])]
    return np.stack(kinds, axis=-1)
